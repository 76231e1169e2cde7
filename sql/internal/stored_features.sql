-- All features of stored images, in the order of their ids; those that an image lacks are NULL. An error when
-- an image is not stored at all.
CREATE OR REPLACE FUNCTION imrec_internal.stored_features(image_ids uuid[])
RETURNS imrec.features[]
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unknown text;
    ids uuid[];
    found imrec.features[];
BEGIN
    SELECT array_agg(f.image_id), array_agg(f.features ORDER BY f.image_id) INTO ids, found
    FROM imrec_internal.features_of(image_ids) AS f;
    SELECT string_agg(coalesce(a.id::text, 'NULL'), ', ') INTO unknown FROM unnest(image_ids) AS a (id)
    WHERE a.id IS NULL OR a.id <> ALL (coalesce(ids, '{}'));
    IF unknown IS NOT NULL THEN
        RAISE no_data_found USING
            MESSAGE = format('no image is stored under the id %s', unknown),
            HINT = 'A sub-select that finds nothing gives NULL; SELECT image_id, path FROM imrec.visible_photo '
                'shows the ids.';
    END IF;
    RETURN coalesce(found, '{}');
END;
$$;

COMMENT ON FUNCTION imrec_internal.stored_features(uuid[]) IS
'All features of stored images; those that one lacks are NULL.';
