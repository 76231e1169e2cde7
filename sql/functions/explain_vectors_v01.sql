-- The plan of the statement by which imrec.nearest_vectors answers at first, carried out and timed, line by
-- line. VOLATILE, since EXPLAIN is not allowed in other functions.
CREATE FUNCTION imrec.explain_vectors(
    positive vector[], negative vector[], feature text, metric text, k bigint, combine text, exclude uuid[],
    filter jsonb, among uuid[], method text
)
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET "hnsw.ef_search" = 100
SET "hnsw.iterative_scan" = strict_order
SET enable_seqscan = on
SET enable_bitmapscan = on
SET enable_sort = on
SET jit = off
AS $$
DECLARE
    plan record;
BEGIN
    metric := imrec.check_question(feature, metric, k, method, combine);
    plan := imrec.vector_plan(feature, metric, k, coalesce(filter, '{}'), among, method);
    PERFORM imrec.check_vectors(positive, negative, metric);
    IF combine = 'mean' AND cardinality(positive || negative) > 1 THEN
        positive := ARRAY[imrec.mean_query(positive, negative)];
        negative := '{}';
        PERFORM imrec.check_vectors(positive, negative, metric);
    END IF;
    IF plan.approximate THEN
        PERFORM set_config('hnsw.ef_search', plan.ef_search::text, true), set_config('enable_sort', 'off', true),
            set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true);
        RETURN NEXT format('hnsw.ef_search = %s, hnsw.iterative_scan = strict_order', plan.ef_search);
    END IF;
    RETURN QUERY EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF) ' || imrec.nearest_statement(
        feature, metric, k, cardinality(positive), cardinality(negative), combine,
        CASE WHEN plan.approximate THEN plan.walked ELSE plan.filtered END, plan.approximate
    ) USING positive, negative, exclude, filter, plan.images;
END;
$$;

COMMENT ON FUNCTION imrec.explain_vectors IS
'The plan by which imrec.nearest_vectors answers at first, carried out and timed, line by line.';
