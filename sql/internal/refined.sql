-- The k nearest by comparing few: candidates by their reduced vectors, whose distances are lower bounds (filter and
-- refine: Faloutsos et al. 1994, doi:10.1145/191843.191925; docs/adr/0025), then these by the whole ones. Exact; NULL
-- where it does not apply or would not pay, and all have to be compared.
--
-- A part of imrec_internal.nearest, whose statements and parameters it gets; in refine, $7 are the candidates.
CREATE OR REPLACE FUNCTION imrec_internal.refined(
    feature text, metric text, k bigint, near pgvector.vector[], far pgvector.vector[], exclude uuid[],
    conditions jsonb, images uuid[], allowed text, refine text,
    OUT ids uuid[], OUT distances double precision[]
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Of a row by its key, beside one of a scan: more than so many are no longer worth it.
    worthwhile CONSTANT double precision := 0.04;
    known record;
    queries record;
    lower_bound text;
    candidates uuid[];
    bounds double precision[];
    last_bound double precision;
    is_disliked boolean;
    are_all boolean;
BEGIN
    SELECT r.candidates AS first, r.images, format('imrec.%I', r.feature || '_reduced') AS reduced_table INTO known
    FROM imrec.reduction AS r
    WHERE r.feature = refined.feature AND r.complete AND refined.metric = ANY (r.metrics);
    IF NOT FOUND OR k > 1000 THEN
        RETURN;
    END IF;
    SELECT array_agg(r.reduced ORDER BY q.n) AS reduced, array_agg(r.norm ORDER BY q.n) AS norms,
        array_agg(r.sums ORDER BY q.n) AS sums,
        bool_or(CASE WHEN metric = 'manhattan' THEN r.sums IS NULL ELSE r.reduced IS NULL END) AS unbounded
    INTO queries FROM unnest(near) WITH ORDINALITY AS q (v, n) CROSS JOIN imrec_internal.reduce(feature, q.v) AS r;
    IF queries.unbounded THEN
        RETURN;
    END IF;
    -- Of a subselect the planner makes a constant, which is not taken out of its array for each row.
    SELECT string_agg(format(CASE metric
        WHEN 'cosine' THEN 'pgvector.halfvec_l2_squared_distance(f.reduced, (SELECT $1[%1$s]))'
        WHEN 'euclidean' THEN '(f.norm - (SELECT $2[%1$s])) * (f.norm - (SELECT $2[%1$s])) + f.norm * (SELECT $2[%1$s])'
            ' * pgvector.halfvec_l2_squared_distance(f.reduced, (SELECT $1[%1$s]))'
        WHEN 'manhattan' THEN 'f.sums OPERATOR(pgvector.<+>) (SELECT $8[%1$s])' END, n), ', ') INTO lower_bound
    FROM generate_series(1, cardinality(near)) AS n;
    -- What has no lower bound is always a candidate.
    lower_bound := format('coalesce(least(%s), -1)', lower_bound);

    EXECUTE format(
        'SELECT array_agg(n.image_id), array_agg(n.low) FROM (SELECT f.image_id, %s AS low FROM %s AS f '
        'WHERE f.image_id <> ALL ($3)%s ORDER BY low LIMIT %s) AS n',
        lower_bound, known.reduced_table, allowed, known.first + 4 * k
    ) INTO candidates, bounds USING queries.reduced, queries.norms, exclude, conditions, images, NULL, NULL, queries.sums;
    -- Of some that are likely the nearest ones follows how far the others may be.
    EXECUTE format('SELECT array_agg(n.image_id), array_agg(n.distance), bool_or(n.disliked) FROM (%s) AS n', refine)
    INTO ids, distances, is_disliked
    USING near, far, exclude, conditions, images, NULL, candidates[:k + 50];
    IF cardinality(ids) = k THEN
        SELECT max(imrec_internal.reduction_bound(metric, distances[k], n.norm)) INTO last_bound
        FROM unnest(queries.norms) AS n (norm);
    END IF;
    IF is_disliked OR last_bound IN ('Infinity', 'NaN') THEN
        last_bound := NULL;
    END IF;
    are_all := coalesce(cardinality(candidates), 0) < known.first + 4 * k;
    IF last_bound IS NULL AND NOT are_all THEN
        ids := NULL;
        RETURN;
    ELSIF are_all OR last_bound <= bounds[cardinality(bounds)] THEN
        candidates := candidates[:coalesce(width_bucket(last_bound, bounds), cardinality(candidates))];
    ELSE
        EXECUTE format(
            'SELECT array_agg(n.image_id) FROM (SELECT f.image_id FROM %s AS f '
            'WHERE f.image_id <> ALL ($3)%s AND %s <= $9 LIMIT %s) AS n',
            known.reduced_table, allowed, lower_bound, ceil(worthwhile * known.images) + 1
        ) INTO candidates
        USING queries.reduced, queries.norms, exclude, conditions, images, NULL, NULL, queries.sums, last_bound;
        IF cardinality(candidates) > ceil(worthwhile * known.images) THEN
            ids := NULL;
            RETURN;
        END IF;
    END IF;
    EXECUTE format('SELECT array_agg(n.image_id), array_agg(n.distance) FROM (%s) AS n', refine)
    INTO ids, distances USING near, far, exclude, conditions, images, NULL, candidates;
    ids := coalesce(ids, '{}');
END;
$$;

COMMENT ON FUNCTION imrec_internal.refined(
    text, text, bigint, pgvector.vector[], pgvector.vector[], uuid[], jsonb, uuid[], text, text
) IS 'The k nearest, exactly, by comparing few; NULL where all have to be compared.';
