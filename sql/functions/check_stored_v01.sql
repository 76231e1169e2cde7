-- An error unless the feature is known for each of the images.
CREATE FUNCTION imrec.check_stored(image_ids uuid[], known integer, feature text)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    asked CONSTANT bigint := (SELECT count(DISTINCT i.id) FROM unnest(image_ids) AS i (id));
BEGIN
    IF array_position(image_ids, NULL) IS NOT NULL OR known < asked THEN
        RAISE no_data_found USING
            MESSAGE = format('of %s images, %s have no %s stored', cardinality(image_ids), asked - known, feature),
            HINT = 'imrec-pg ingest stores the images of a folder, imrec-pg status says what is missing.';
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec.check_stored IS 'An error unless the feature is known for each of the images.';
