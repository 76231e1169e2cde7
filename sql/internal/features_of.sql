-- All features of those of these images that are stored; those that one lacks are NULL.
CREATE OR REPLACE FUNCTION imrec_internal.features_of(image_ids uuid[])
RETURNS TABLE (image_id uuid, features imrec.features)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF has_table_privilege('imrec.file', 'SELECT') THEN
        RETURN QUERY
        SELECT s.image_id, s.features FROM imrec_internal.image_features AS s WHERE s.image_id = ANY (image_ids);
    ELSE
        RETURN QUERY SELECT * FROM imrec_internal.visible_features(current_user, image_ids);
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec_internal.features_of(uuid[]) IS 'All features of those of these images that are stored.';
