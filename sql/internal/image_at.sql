-- The stored image that a path or an id names. An error when there is none: compared with NULL, every image
-- would come.
CREATE OR REPLACE FUNCTION imrec_internal.image_at(photo text)
RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found uuid;
BEGIN
    IF NOT has_table_privilege('imrec.file', 'SELECT') THEN
        found := imrec_internal.visible_image_at(current_user, photo);
    ELSE
        found := (SELECT i.image_id FROM imrec.file AS i WHERE i.path = photo ORDER BY i.file_id LIMIT 1);
        IF found IS NULL AND photo ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
            found := (SELECT i.image_id FROM imrec.image AS i WHERE i.image_id = photo::uuid);
        END IF;
    END IF;
    IF found IS NOT NULL THEN
        RETURN found;
    ELSIF photo IS NULL THEN
        RAISE no_data_found USING
            MESSAGE = 'the photo to compare with is NULL',
            HINT = 'A sub-select that finds nothing gives NULL: does its WHERE name a stored photo?';
    END IF;
    RAISE no_data_found USING
        MESSAGE = format('no photo is stored under the path or id %L', photo),
        HINT = 'Paths are absolute, as in imrec.photo; imrec-pg ingest stores the photos of a folder.';
END;
$$;

COMMENT ON FUNCTION imrec_internal.image_at(text) IS
'The stored image that a path or an id names; an error when there is none.';
