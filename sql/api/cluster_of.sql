-- The number of the cluster that a photo is in, by path or id; NULL where it is in none. feature and on_map as in
-- imrec.clusters.
CREATE OR REPLACE FUNCTION imrec.cluster_of(photo text, feature text DEFAULT 'embedding', on_map integer DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    query CONSTANT uuid := imrec_internal.image_at(photo);
BEGIN
    RETURN (
        SELECT m.cluster
        FROM imrec.clustering AS g
        INNER JOIN imrec.cluster_member AS m ON m.clustering_id = g.clustering_id
        LEFT JOIN imrec.map AS a ON a.map_id = g.map_id
        WHERE m.image_id = query AND g.feature = cluster_of.feature AND a.dims IS NOT DISTINCT FROM on_map
    );
END;
$$;

COMMENT ON FUNCTION imrec.cluster_of(text, text, integer) IS
'The number of the cluster that a photo (a path or the id of an image) is in; NULL where it is in none.';
