-- The images that a filter lets through, or NULL when they are more than most: to compare all of a few is
-- both exact and faster than to walk an index past all others. imrec.image is known as f in the condition.
CREATE FUNCTION imrec.filtered_images(filter jsonb, among uuid[], most bigint)
RETURNS uuid[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    images uuid[];
BEGIN
    EXECUTE format(
        'SELECT array_agg(n.image_id) FROM (SELECT f.image_id FROM imrec.image AS f WHERE true%s LIMIT %s) AS n',
        imrec.filter_condition(filter, among IS NOT NULL, false), most + 1
    ) INTO images USING NULL, NULL, NULL, filter, among;
    RETURN CASE WHEN cardinality(images) > most THEN NULL ELSE coalesce(images, '{}') END;
END;
$$;

COMMENT ON FUNCTION imrec.filtered_images IS
'The images that a filter lets through, or NULL when they are more than so many.';
