-- All features of stored images, in the order of their ids; those that an image lacks are NULL. An error when
-- an image is not stored at all.
CREATE OR REPLACE FUNCTION imrec_internal.stored_features(image_ids uuid[])
RETURNS imrec.features[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unknown text;
BEGIN
    SELECT string_agg(coalesce(a.id::text, 'NULL'), ', ') INTO unknown FROM unnest(image_ids) AS a (id)
    WHERE a.id IS NULL OR a.id NOT IN (SELECT i.image_id FROM imrec.image AS i WHERE i.image_id = ANY (image_ids));
    IF unknown IS NOT NULL THEN
        RAISE no_data_found USING
            MESSAGE = format('no image is stored under the id %s', unknown),
            HINT = 'A sub-select that finds nothing gives NULL; SELECT image_id, path FROM imrec.file shows the ids.';
    END IF;
    RETURN ARRAY(
        SELECT s.features FROM imrec_internal.image_features AS s
        WHERE s.image_id = ANY (image_ids) ORDER BY s.image_id
    );
END;
$$;

COMMENT ON FUNCTION imrec_internal.stored_features(uuid[]) IS
'All features of stored images; those that one lacks are NULL.';
