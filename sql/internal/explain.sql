-- The plan of the statement by which imrec_internal.nearest answers at first, carried out and timed, line by
-- line. VOLATILE, since EXPLAIN is not allowed in other functions.
CREATE OR REPLACE FUNCTION imrec_internal.explain(
    likes imrec.features[], dislikes imrec.features[], feature text, metric text, k bigint, combine text,
    exclude uuid[], filter jsonb, among uuid[], method text
)
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET "hnsw.ef_search" = 100
SET "hnsw.iterative_scan" = strict_order
SET enable_seqscan = on
SET enable_bitmapscan = on
SET enable_sort = on
SET jit = off
AS $$
DECLARE
    plan CONSTANT record := imrec_internal.search_plan(
        likes, dislikes, feature, metric, k, combine, filter, among, method, NULL
    );
    explained CONSTANT text := 'EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF) %s';
    known record;
    queries record;
BEGIN
    known := imrec_internal.known_reduction(feature, plan.metric_used, k);
    IF plan.by_chunks THEN
        RETURN QUERY EXECUTE format(explained, format(
            'SELECT n.* FROM unnest($1) AS q (code) '
            'CROSS JOIN LATERAL imrec.hamming_search(q.code, %s, %L, $2) AS n', k, feature
        )) USING plan.near_codes, exclude;
    ELSIF plan.approximate THEN
        PERFORM set_config('hnsw.ef_search', plan.ef_search::text, true), set_config('enable_sort', 'off', true),
            set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true);
        RETURN NEXT format('hnsw.ef_search = %s, hnsw.iterative_scan = strict_order', plan.ef_search);
        RETURN QUERY EXECUTE format(explained, plan.walk)
        USING plan.near, plan.far, exclude, plan.conditions, plan.images, NULL, k;
    ELSIF known.few IS NOT NULL THEN
        SELECT array_agg(r.reduced) AS reduced, array_agg(r.norm) AS norms, array_agg(r.sums) AS sums INTO queries
        FROM unnest(plan.near) AS q (v) CROSS JOIN imrec_internal.reduce(feature, q.v) AS r;
        RETURN NEXT 'Candidates by reduced vectors, which are then compared by the whole ones (imrec_internal.refined):';
        RETURN QUERY EXECUTE format(explained, format(
            'SELECT b.block_id FROM imrec.%I AS b ORDER BY %s LIMIT %s', feature || '_block',
            (imrec_internal.block_bounds(
                plan.metric_used, cardinality(plan.near), known.block_images, known.dims, known.sums
            )).nearest, known.few
        )) USING queries.reduced, queries.norms, NULL, NULL, NULL, NULL, NULL, queries.sums;
    ELSIF plan.near IS NOT NULL THEN
        RETURN QUERY EXECUTE format(explained, plan.compare)
        USING plan.near, plan.far, exclude, plan.conditions, plan.images;
    ELSE
        RETURN QUERY EXECUTE format(explained, plan.compare)
        USING plan.near_codes, plan.far_codes, exclude, plan.conditions, plan.images;
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec_internal.explain(
    imrec.features[], imrec.features[], text, text, bigint, text, uuid[], jsonb, uuid[], text
) IS
'The plan by which imrec_internal.nearest answers at first, carried out and timed, line by line.';
