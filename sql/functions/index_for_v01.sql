-- The HNSW index that answers for a feature and metric, or NULL: there is none, it is invalid, or its table
-- is so small that all of it is compared in a few milliseconds. SET imrec.min_index_rows = … for another
-- limit.
CREATE FUNCTION imrec.index_for(feature text, metric text)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT i.relname::text
    FROM pg_catalog.pg_index AS x
    INNER JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
    INNER JOIN pg_catalog.pg_class AS t ON t.oid = x.indrelid
    WHERE i.oid = to_regclass(format('imrec.%I', index_for.feature || '_' || index_for.metric || '_hnsw'))
        AND x.indisvalid
        AND t.reltuples >= coalesce(nullif(current_setting('imrec.min_index_rows', true), '')::bigint, 5000)
$$;

COMMENT ON FUNCTION imrec.index_for IS
'The HNSW index that answers for a feature and metric, or NULL when all images are compared.';
