-- All features of stored images; those that one lacks are NULL. An error when one is not stored at all.
CREATE FUNCTION imrec.stored_features(image_ids uuid[])
RETURNS imrec.features[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    found CONSTANT imrec.features[] := ARRAY(
        SELECT ROW(e.embedding, g.histogram, h.average_hash, h.difference_hash)::imrec.features
        FROM imrec.image AS i
        LEFT JOIN imrec.embedding AS e ON e.image_id = i.image_id
        LEFT JOIN imrec.histogram AS g ON g.image_id = i.image_id
        LEFT JOIN imrec.hash AS h ON h.image_id = i.image_id
        WHERE i.image_id = ANY (image_ids) ORDER BY i.image_id
    );
BEGIN
    PERFORM imrec.check_stored(image_ids, cardinality(found), 'features');
    RETURN found;
END;
$$;

COMMENT ON FUNCTION imrec.stored_features IS 'All features of stored images, NULL for those that one lacks.';
