-- The k images nearest to the queries. combine = mean ranks by the distance to imrec.mean_query, min by the
-- distance to the nearest like, what is nearer to a dislike coming last. answer is exact, approximate (by an
-- index), or truncated: method = approximate takes the index alone, which may end before k images are found.
CREATE FUNCTION imrec.nearest_vectors(
    positive vector[], negative vector[], feature text, metric text, k bigint, combine text, exclude uuid[],
    filter jsonb, among uuid[], method text
)
RETURNS TABLE (rank bigint, image_id uuid, distance double precision, answer text)
-- UNSAFE keeps the calling query serial: only then may the scan in here be parallel.
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
-- What is set in here ends with the function, since it is named here.
SET "hnsw.ef_search" = 100
-- Else HNSW stops at ef_search candidates, and a filter leaves the answer short.
SET "hnsw.iterative_scan" = strict_order
SET enable_seqscan = on
SET enable_bitmapscan = on
SET enable_sort = on
-- Compiling takes longer than any of this.
SET jit = off
AS $$
DECLARE
    plan record;
    ids uuid[];
    distances double precision[];
    others bigint;
BEGIN
    metric := imrec.check_question(feature, metric, k, method, combine);
    IF metric = 'hamming' THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s has 64 bits, and is no vector', feature);
    END IF;
    filter := coalesce(filter, '{}');
    plan := imrec.vector_plan(feature, metric, k, filter, among, method);
    PERFORM imrec.check_vectors(positive, negative, metric);
    IF combine = 'mean' AND cardinality(positive || negative) > 1 THEN
        positive := ARRAY[imrec.mean_query(positive, negative)];
        negative := '{}';
        PERFORM imrec.check_vectors(positive, negative, metric);
    END IF;
    IF plan.approximate THEN
        PERFORM set_config('hnsw.ef_search', plan.ef_search::text, true), set_config('enable_sort', 'off', true),
            set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true);
        EXECUTE format('SELECT array_agg(n.image_id), array_agg(n.distance) FROM (%s) AS n', imrec.nearest_statement(
            feature, metric, k, cardinality(positive), cardinality(negative), combine, plan.walked, true
        )) INTO ids, distances USING positive, negative, exclude, filter, plan.images;
        PERFORM set_config('enable_sort', 'on', true),
            set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true);
        IF cardinality(ids) = k THEN
            answer := 'approximate';
        ELSIF method = 'approximate' THEN
            EXECUTE format(
                'SELECT count(*) FROM (SELECT FROM imrec.%I AS f WHERE f.image_id <> ALL ($3)%s LIMIT %s) AS n',
                feature, plan.filtered, k
            ) INTO others USING positive, negative, exclude, filter, plan.images;
            answer := CASE WHEN others > coalesce(cardinality(ids), 0) THEN 'truncated' ELSE 'exact' END;
        END IF;
    END IF;
    IF answer IS NULL THEN
        RETURN QUERY EXECUTE format(
            'SELECT row_number() OVER (), n.image_id, n.distance, ''exact'' FROM (%s) AS n',
            imrec.nearest_statement(
                feature, metric, k, cardinality(positive), cardinality(negative), combine, plan.filtered, false
            )
        ) USING positive, negative, exclude, filter, plan.images;
    ELSE
        RETURN QUERY SELECT n.rank, n.image_id, n.distance, answer
        FROM unnest(ids, distances) WITH ORDINALITY AS n (image_id, distance, rank);
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec.nearest_vectors IS
'The k images nearest to likes and far from dislikes, by one vector feature; imrec.search is simpler.';
