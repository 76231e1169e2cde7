-- One row an image and map: where it lies, and its clusters: cluster by the feature, map_cluster on this map.
-- SELECT p.path, m.x, m.y FROM imrec.photo AS p JOIN imrec.mapped AS m USING (image_id)
-- WHERE m.feature = 'embedding' AND m.dims = 2
CREATE OR REPLACE VIEW imrec.mapped WITH (security_invoker = true) AS
SELECT
    p.image_id,
    m.feature,
    m.dims,
    p.x,
    p.y,
    p.z,
    f.cluster,
    c.cluster AS map_cluster,
    p.landmark
FROM imrec.map_point AS p
INNER JOIN imrec.map AS m ON p.map_id = m.map_id
LEFT JOIN imrec.clustering AS by_feature ON m.feature = by_feature.feature AND by_feature.map_id IS null
LEFT JOIN imrec.clustering AS on_map ON m.map_id = on_map.map_id
LEFT JOIN imrec.cluster_member AS f ON p.image_id = f.image_id AND by_feature.clustering_id = f.clustering_id
LEFT JOIN imrec.cluster_member AS c ON p.image_id = c.image_id AND on_map.clustering_id = c.clustering_id;

COMMENT ON VIEW imrec.mapped IS
'One row an image and map: where it lies, and in which clusters it is: by the feature, and on this map.';
