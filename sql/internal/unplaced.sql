-- How far each clustering and map lags behind: later counts the images that came after it was made and were placed,
-- lacking those that have the feature and were not.
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

featured AS (
    SELECT
        'embedding' AS feature,
        (SELECT count(*) FROM imrec.embedding) AS images
    WHERE
        EXISTS (SELECT FROM imrec.clustering AS c WHERE c.feature = 'embedding')
        OR EXISTS (SELECT FROM imrec.map AS m WHERE m.feature = 'embedding')
    UNION ALL
    SELECT
        'histogram' AS feature,
        (SELECT count(*) FROM imrec.histogram) AS images
    WHERE
        EXISTS (SELECT FROM imrec.clustering AS c WHERE c.feature = 'histogram')
        OR EXISTS (SELECT FROM imrec.map AS m WHERE m.feature = 'histogram')
)

SELECT
    n.id,
    coalesce(p.later, 0) AS later,
    greatest(0, coalesce(f.images, 0) - coalesce(p.images, 0)) AS lacking
FROM (
    SELECT
        c.clustering_id AS id,
        c.feature
    FROM imrec.clustering AS c
    UNION ALL
    SELECT
        m.map_id AS id,
        m.feature
    FROM imrec.map AS m
) AS n
LEFT JOIN placed AS p ON n.id = p.id
LEFT JOIN featured AS f ON n.feature = f.feature;

COMMENT ON VIEW imrec_internal.unplaced IS 'How many images came after each clustering and map, and how many it lacks.';
