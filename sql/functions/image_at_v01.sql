-- The image that a file holds; an error when no such path is stored: compared with NULL, every image would
-- come.
CREATE FUNCTION imrec.image_at(path text)
RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    found CONSTANT uuid := (
        SELECT l.image_id FROM imrec.location AS l WHERE l.path = image_at.path ORDER BY l.location_id LIMIT 1
    );
BEGIN
    IF found IS NULL THEN
        RAISE no_data_found USING
            MESSAGE = format('no photo is stored under the path %L', path),
            HINT = 'Paths are absolute, as in imrec.location; imrec-pg ingest stores the photos of a folder.';
    END IF;
    RETURN found;
END;
$$;

COMMENT ON FUNCTION imrec.image_at IS 'The image that a file holds; an error when no such path is stored.';
