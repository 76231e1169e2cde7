-- The number of the cluster that a photo is in, by path or id; NULL where it is in none. feature and on_map as in
-- imrec.clusters.
CREATE OR REPLACE FUNCTION imrec.cluster_of(photo text, feature text DEFAULT 'embedding', on_map integer DEFAULT NULL)
RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT m.cluster
    FROM imrec.cluster_member AS m
    INNER JOIN imrec.clustering AS g ON m.clustering_id = g.clustering_id
    LEFT JOIN imrec.map AS a ON g.map_id = a.map_id
    WHERE
        m.image_id = imrec_internal.image_at(cluster_of.photo) AND g.feature = cluster_of.feature
        AND a.dims IS NOT DISTINCT FROM cluster_of.on_map;
END;

COMMENT ON FUNCTION imrec.cluster_of(text, text, integer) IS
'The number of the cluster that a photo (a path or the id of an image) is in; NULL where it is in none.';
