-- The k images nearest to the likes and far from the dislikes, by one feature. certainty is exact, approximate
-- (by an index), or truncated: method = approximate asks the index alone, which may end before it finds k.
-- With roots, as if there were no photos but those in these roots; then it is always exact. near_only: of hashes those
-- within 11 bits are enough, which chunks tell.
CREATE OR REPLACE FUNCTION imrec_internal.nearest(
    likes imrec.features[], dislikes imrec.features[], feature text, metric text, k bigint, combine text,
    exclude uuid[], filter jsonb, among uuid[], method text, roots uuid[] DEFAULT NULL,
    near_only boolean DEFAULT FALSE
)
RETURNS TABLE (rank bigint, image_id uuid, distance double precision, certainty text)
-- UNSAFE keeps the calling query serial: only then may the scan in here be parallel.
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
-- What is set in here ends with the function, since it is named here.
SET "hnsw.ef_search" = 100
-- Otherwise HNSW stops at ef_search candidates, and a filter leaves the answer short.
SET "hnsw.iterative_scan" = strict_order
SET enable_seqscan = on
SET enable_bitmapscan = on
SET enable_sort = on
-- Compiling takes longer than any of this.
SET jit = off
AS $$
DECLARE
    plan CONSTANT record := imrec_internal.search_plan(
        likes, dislikes, feature, metric, k, combine, filter, among, method, roots
    );
    numbered CONSTANT text := 'SELECT row_number() OVER (), n.image_id, n.distance, ''exact'' FROM (%s) AS n';
    ids uuid[];
    distances double precision[];
    others bigint;
    itself uuid;
    lost boolean := FALSE;
    near_known boolean;
    bits integer[];
BEGIN
    IF plan.by_chunks AND near_only AND cardinality(plan.near_codes) = 1 THEN
        SELECT n.complete, n.image_ids, n.distances INTO near_known, ids, bits
        FROM imrec_internal.hamming_near(plan.near_codes[1], feature, '{11}', NULL) AS n;
    END IF;
    IF near_known THEN
        RETURN QUERY
        SELECT row_number() OVER (ORDER BY n.distance, n.image_id), n.image_id, n.distance::double precision, 'exact'
        FROM (
            SELECT DISTINCT u.image_id, u.distance FROM unnest(ids, bits) AS u (image_id, distance)
            WHERE u.image_id <> ALL (exclude)
        ) AS n
        ORDER BY 1 LIMIT k;
        RETURN;
    ELSIF plan.by_chunks THEN
        RETURN QUERY
        SELECT row_number() OVER (ORDER BY min(n.distance), n.image_id), n.image_id,
            min(n.distance)::double precision, 'exact'
        FROM unnest(plan.near_codes) AS q (code)
        CROSS JOIN LATERAL imrec.hamming_search(q.code, k::integer, feature, exclude) AS n
        GROUP BY n.image_id ORDER BY 1 LIMIT k;
        RETURN;
    ELSIF plan.walk IS NOT NULL THEN
        PERFORM set_config('hnsw.ef_search', plan.ef_search::text, true), set_config('enable_sort', 'off', true),
            set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true);
        -- Where the walk does not come upon the stored image that is asked for, the graph does not lead.
        IF method = 'auto' AND cardinality(exclude) = 1 AND cardinality(plan.near) = 1 AND cardinality(plan.far) = 0
            AND plan.conditions = '{}' AND plan.images IS NULL
        THEN
            EXECUTE format(
                'SELECT f.image_id FROM imrec.%1$I AS f WHERE f.image_id = $1[1] AND f.%1$I OPERATOR(pgvector.=) $2[1]',
                feature
            ) INTO itself USING exclude, plan.near;
        END IF;
        EXECUTE format('SELECT array_agg(n.image_id), array_agg(n.distance) FROM (%s) AS n', plan.walk)
        INTO ids, distances
        USING plan.near, plan.far, CASE WHEN itself IS NULL THEN exclude ELSE '{}' END, plan.conditions, plan.images,
            roots, CASE WHEN itself IS NULL THEN k ELSE k + 1 END;
        IF itself IS NOT NULL THEN
            lost := itself <> ALL (ids) AND distances[1] > 1e-6;
            SELECT array_agg(n.image_id ORDER BY n.number), array_agg(n.distance ORDER BY n.number) INTO ids, distances
            FROM unnest(ids, distances) WITH ORDINALITY AS n (image_id, distance, number) WHERE n.image_id <> itself;
            ids := ids[:k];
            distances := distances[:k];
        END IF;
        PERFORM set_config('enable_sort', 'on', true),
            set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true);
        IF plan.approximate AND cardinality(ids) = k AND NOT lost THEN
            certainty := 'approximate';
        ELSIF method = 'approximate' AND plan.approximate THEN
            EXECUTE format('SELECT count(*) FROM (%s) AS n', plan.compare)
            INTO others USING plan.near, plan.far, exclude, plan.conditions, plan.images, roots;
            certainty := CASE WHEN others > coalesce(cardinality(ids), 0) THEN 'truncated' ELSE 'exact' END;
        END IF;
    END IF;
    IF certainty IS NULL AND plan.refine IS NOT NULL THEN
        -- What the index found tells how far the nearest are at most.
        SELECT r.ids, r.distances INTO ids, distances FROM imrec_internal.refined(
            feature, plan.metric_used, k, plan.near, plan.far, exclude, plan.conditions, plan.images, plan.allowed,
            plan.refine, distances[k]
        ) AS r;
        certainty := CASE WHEN ids IS NOT NULL THEN 'exact' END;
    END IF;
    IF certainty IS NOT NULL THEN
        RETURN QUERY SELECT n.rank, n.image_id, n.distance, nearest.certainty
        FROM unnest(ids, distances) WITH ORDINALITY AS n (image_id, distance, rank);
    ELSIF plan.near IS NOT NULL THEN
        RETURN QUERY EXECUTE format(numbered, plan.compare)
        USING plan.near, plan.far, exclude, plan.conditions, plan.images, roots;
    ELSE
        RETURN QUERY EXECUTE format(numbered, plan.compare)
        USING plan.near_codes, plan.far_codes, exclude, plan.conditions, plan.images, roots;
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec_internal.nearest(
    imrec.features[], imrec.features[], text, text, bigint, text, uuid[], jsonb, uuid[], text, uuid[], boolean
) IS
'The k images nearest to likes and far from dislikes, by one feature; imrec.recommend shows them as photos.';
