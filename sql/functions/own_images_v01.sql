-- The images that the caller may see, of those in among if that is given; NULL for one who may see all, and
-- for one who may see more than a few files (SET imrec.few_images = … for another number than 5,000). To
-- compare a few is faster than to read or walk past all that is hidden.
CREATE FUNCTION imrec.own_images(among uuid[])
RETURNS uuid[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    few CONSTANT bigint := coalesce(nullif(current_setting('imrec.few_images', true), '')::bigint, 5000);
    own uuid[];
BEGIN
    IF imrec.restricted() THEN
        own := ARRAY(SELECT l.image_id FROM imrec.location AS l LIMIT few + 1);
    END IF;
    RETURN CASE WHEN cardinality(own) <= few THEN ARRAY(
        SELECT DISTINCT o.image_id FROM unnest(own) AS o (image_id)
        WHERE among IS NULL OR o.image_id IN (SELECT a.image_id FROM unnest(among) AS a (image_id))
    ) END;
END;
$$;

COMMENT ON FUNCTION imrec.own_images IS
'The images of a caller from whom most are hidden by row-level security, NULL for all others.';
