-- A filter whose cluster and in_box are resolved: to the clustering and the map that they are of, by the feature that
-- is searched unless by_feature names another one, and of the hashes by embedding. An error when there is none.
CREATE OR REPLACE FUNCTION imrec_internal.mapped_filter(filter jsonb, feature text)
RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    by_feature CONSTANT text := coalesce(
        filter ->> 'by_feature', CASE WHEN feature LIKE '%\_hash' THEN 'embedding' ELSE feature END
    );
    corners CONSTANT integer := CASE WHEN filter ? 'in_box' THEN jsonb_array_length(filter -> 'in_box') END;
    of_dims CONSTANT integer := coalesce((filter ->> 'on_map')::integer, corners / 2);
    on_map CONSTANT uuid := (SELECT m.map_id FROM imrec.map AS m WHERE m.feature = by_feature AND m.dims = of_dims);
    clusters uuid;
BEGIN
    IF NOT filter ?| '{cluster,in_box}' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a filter without cluster and in_box has no by_feature and no on_map',
            HINT = 'These say of which clusters or which map cluster and in_box are.';
    ELSIF corners IS NOT NULL AND (corners NOT IN (4, 6) OR corners / 2 <> of_dims) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('a box on a map is 4 or 6 numbers, not %s', corners),
            HINT = 'First the lowest x, y (and z, in three dimensions), then the highest.';
    ELSIF of_dims IS NOT NULL AND on_map IS NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there is no map of %s dimensions by %s', of_dims, by_feature),
            HINT = format('imrec-pg map build --feature %s --dims %s makes it.', by_feature, of_dims);
    END IF;
    IF filter ? 'cluster' THEN
        clusters := (
            SELECT c.clustering_id FROM imrec.clustering AS c
            WHERE c.feature = by_feature AND (c.map_id = on_map OR c.map_id IS NULL AND NOT filter ? 'on_map')
            ORDER BY filter ? 'on_map' AND c.map_id IS NULL, c.map_id IS NOT NULL AND NOT filter ? 'on_map' LIMIT 1
        );
        IF clusters IS NULL THEN
            RAISE invalid_parameter_value USING
                MESSAGE = format('there are no clusters by %s%s', by_feature, CASE WHEN filter ? 'on_map' THEN ' on that map' END),
                HINT = format('imrec-pg cluster build --feature %s makes them.', by_feature);
        ELSIF NOT EXISTS (
            SELECT FROM imrec.cluster AS c
            WHERE c.clustering_id = clusters AND c.cluster = (filter ->> 'cluster')::integer
        ) THEN
            RAISE invalid_parameter_value USING
                MESSAGE = format('there is no cluster %s by %s', filter ->> 'cluster', by_feature),
                HINT = 'SELECT * FROM imrec.clusters() lists them, and so does imrec-pg cluster list.';
        END IF;
    END IF;
    RETURN jsonb_strip_nulls(filter - '{by_feature,on_map}'::text[] || jsonb_build_object(
        'clustering', clusters,
        'map', CASE WHEN corners IS NOT NULL THEN on_map END,
        -- A flat map has no z, which counts as 0.
        'in_box', CASE corners
            WHEN 4 THEN jsonb_build_array(
                filter -> 'in_box' -> 0, filter -> 'in_box' -> 1, 0, filter -> 'in_box' -> 2, filter -> 'in_box' -> 3, 0)
            WHEN 6 THEN filter -> 'in_box' END
    ));
END;
$$;

COMMENT ON FUNCTION imrec_internal.mapped_filter(jsonb, text) IS
'A filter whose cluster and in_box are resolved to the clustering and the map that they are of.';
