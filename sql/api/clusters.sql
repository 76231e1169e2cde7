-- The clusters found by a feature, or on_map (2 or 3) on its map of so many dimensions; the largest first as they were
-- made. size counts the images that are in it now; medoid is the most typical one, shown by path; folder, year and
-- camera are those of nine in ten of its photos.
CREATE OR REPLACE FUNCTION imrec.clusters(feature text DEFAULT 'embedding', on_map integer DEFAULT NULL)
RETURNS TABLE (
    cluster integer, size bigint, path text, medoid uuid, spread double precision, folder text, year integer,
    camera text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted CONSTANT uuid := (
        SELECT g.clustering_id FROM imrec.clustering AS g LEFT JOIN imrec.map AS m ON m.map_id = g.map_id
        WHERE g.feature = clusters.feature AND m.dims IS NOT DISTINCT FROM on_map
    );
    medoids CONSTANT uuid[] := ARRAY(SELECT c.medoid FROM imrec.cluster AS c WHERE c.clustering_id = wanted);
BEGIN
    RETURN QUERY
    SELECT c.cluster, coalesce(n.size, 0), f.path, c.medoid, c.spread, c.folder, c.year, c.camera
    FROM imrec.cluster AS c
    LEFT JOIN (
        SELECT m.cluster, count(*) AS size FROM imrec.cluster_member AS m
        WHERE m.clustering_id = wanted GROUP BY m.cluster
    ) AS n ON n.cluster = c.cluster
    LEFT JOIN (
        SELECT i.image_id, i.path FROM imrec_internal.image_file AS i WHERE i.image_id = ANY (medoids)
    ) AS f ON f.image_id = c.medoid
    WHERE c.clustering_id = wanted
    ORDER BY c.cluster;
END;
$$;

COMMENT ON FUNCTION imrec.clusters(text, integer) IS
'The clusters by a feature, or on its map of so many dimensions: how many photos, the most typical, what is common.';
