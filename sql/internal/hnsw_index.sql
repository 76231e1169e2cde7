-- The HNSW index of each pair of feature and metric: its name, its operator and operator class, and what it
-- is now. valid is false for one whose build broke off, NULL where there is none. rows is the planner's count.
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
        m.operator_class,
        f.feature || '_' || m.metric || '_hnsw' AS name
    FROM imrec.feature AS f
    INNER JOIN (
        VALUES
        ('cosine', 'vector_cosine_ops'),
        ('euclidean', 'vector_l2_ops'),
        ('manhattan', 'vector_l1_ops')
    ) AS m (metric, operator_class) ON m.metric = any(f.metrics)
) AS p
LEFT JOIN pg_catalog.pg_class AS i
    ON p.name = i.relname AND i.relnamespace = to_regnamespace('imrec')
LEFT JOIN pg_catalog.pg_index AS x ON i.oid = x.indexrelid
LEFT JOIN pg_catalog.pg_class AS t ON x.indrelid = t.oid;

COMMENT ON VIEW imrec_internal.hnsw_index IS 'The HNSW index of each pair of feature and metric, if there is one.';
