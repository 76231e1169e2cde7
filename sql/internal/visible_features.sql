-- imrec_internal.features_of for a reader of some roots.
CREATE OR REPLACE FUNCTION imrec_internal.visible_features(reader name, image_ids uuid[])
RETURNS TABLE (image_id uuid, features imrec.features)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET enable_mergejoin = off
SET enable_hashjoin = on
SET enable_nestloop = on
SET enable_indexscan = on
AS $$
DECLARE
    seen CONSTANT uuid[] := ARRAY(
        SELECT f.image_id FROM imrec_internal.visible_files(imrec_internal.reader_roots(reader), image_ids) AS f
    );
BEGIN
    RETURN QUERY SELECT s.image_id, s.features FROM imrec_internal.image_features AS s WHERE s.image_id = ANY (seen);
END;
$$;

COMMENT ON FUNCTION imrec_internal.visible_features(name, uuid[]) IS
'All features of those of these images that a reader of some roots sees.';
