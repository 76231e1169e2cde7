-- Deletes files, whose rows the caller has locked, and of the images that they held those that no other file
-- holds. Returns how many images that were.
CREATE OR REPLACE FUNCTION imrec_internal.forget(file_ids uuid[], image_ids uuid[], OUT images bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM imrec.file WHERE file_id = ANY (file_ids) AND image_id = ANY (image_ids);
    DELETE FROM imrec.missing WHERE file_id = ANY (file_ids);
    -- Waits for ingests that are giving an image another file; only a later statement sees that file.
    PERFORM FROM imrec.image AS i WHERE i.image_id = ANY (image_ids) ORDER BY i.image_id FOR UPDATE;
    DELETE FROM imrec.image WHERE image_id = ANY (image_ids)
        AND image_id NOT IN (SELECT f.image_id FROM imrec.file AS f WHERE f.image_id = ANY (image_ids));
    GET DIAGNOSTICS images = ROW_COUNT;
END;
$$;

COMMENT ON FUNCTION imrec_internal.forget(uuid[], uuid[]) IS
'Deletes files, and images that no other file holds; returns how many.';
