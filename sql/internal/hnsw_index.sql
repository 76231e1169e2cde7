-- Each pair of feature and metric with its HNSW index: its name, its operator class (NULL for hashes, which no
-- such index serves), and what it is now. valid is false for one whose build broke off, NULL where there is none.
-- rows is the planner's count.
CREATE OR REPLACE VIEW imrec_internal.hnsw_index WITH (security_invoker = true) AS
SELECT
    p.feature,
    p.metric,
    p.name,
    p.operator_class,
    x.indisvalid AS valid,
    t.reltuples::bigint AS rows,
    pg_relation_size(x.indexrelid) AS size
FROM (
    SELECT
        f.feature,
        m.metric,
        f.feature || '_' || m.metric || '_hnsw' AS name,
        CASE m.metric
            WHEN 'cosine' THEN 'vector_cosine_ops'
            WHEN 'euclidean' THEN 'vector_l2_ops'
            WHEN 'manhattan' THEN 'vector_l1_ops'
        END AS operator_class
    FROM imrec.feature AS f CROSS JOIN LATERAL unnest(f.metrics) AS m (metric)
) AS p
LEFT JOIN pg_catalog.pg_class AS i
    ON p.name = i.relname AND i.relnamespace = to_regnamespace('imrec')
LEFT JOIN pg_catalog.pg_index AS x ON i.oid = x.indexrelid
LEFT JOIN pg_catalog.pg_class AS t ON x.indrelid = t.oid;

COMMENT ON VIEW imrec_internal.hnsw_index IS 'The HNSW index of each pair of feature and metric, if there is one.';
