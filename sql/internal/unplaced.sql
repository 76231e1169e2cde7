-- How far each clustering and map lags behind: later counts the images that came after it was made and were placed,
-- lacking those that have the feature and were not. dims is that of the map, or of the map that was clustered.
CREATE OR REPLACE VIEW imrec_internal.unplaced WITH (security_invoker = true) AS
WITH placed AS (
    SELECT
        m.clustering_id AS id,
        count(*) AS images,
        count(*) FILTER (WHERE m.later) AS later
    FROM imrec.cluster_member AS m
    GROUP BY m.clustering_id
    UNION ALL
    SELECT
        p.map_id AS id,
        count(*) AS images,
        count(*) FILTER (WHERE p.later) AS later
    FROM imrec.map_point AS p
    GROUP BY p.map_id
),

-- Counted only where there is something to compare with.
featured AS (
    SELECT
        w.feature,
        CASE w.feature
            WHEN 'embedding' THEN (SELECT count(*) FROM imrec.embedding)
            WHEN 'histogram' THEN (SELECT count(*) FROM imrec.histogram)
        END AS images
    FROM (
        SELECT c.feature FROM imrec.clustering AS c
        UNION
        SELECT m.feature FROM imrec.map AS m
    ) AS w
)

SELECT
    n.id,
    n.kind,
    n.feature,
    n.dims,
    n.images,
    coalesce(p.later, 0) AS later,
    greatest(0, coalesce(f.images, 0) - coalesce(p.images, 0)) AS lacking
FROM (
    SELECT
        c.clustering_id AS id,
        'clusters' AS kind,
        c.feature,
        m.dims,
        c.images
    FROM imrec.clustering AS c
    LEFT JOIN imrec.map AS m ON c.map_id = m.map_id
    UNION ALL
    SELECT
        m.map_id AS id,
        'map' AS kind,
        m.feature,
        m.dims,
        m.images
    FROM imrec.map AS m
) AS n
LEFT JOIN placed AS p ON n.id = p.id
LEFT JOIN featured AS f ON n.feature = f.feature;

COMMENT ON VIEW imrec_internal.unplaced IS 'How many images came after each clustering and map, and how many it lacks.';
