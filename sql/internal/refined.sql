-- The k nearest by comparing few: candidates by their reduced vectors, whose distances are lower bounds (filter and
-- refine: Faloutsos et al. 1994, doi:10.1145/191843.191925; docs/adr/0025), then these by the whole ones. Exact; NULL
-- where it does not apply or would not pay, and all have to be compared.
--
-- A part of imrec_internal.nearest, whose statements and parameters it gets; in refine, $7 are the candidates. within
-- is a distance that k images do not exceed, where one is known: then one scan finds the candidates, unsorted.
CREATE OR REPLACE FUNCTION imrec_internal.refined(
    feature text, metric text, k bigint, near pgvector.vector[], far pgvector.vector[], exclude uuid[],
    conditions jsonb, images uuid[], allowed text, refine text, within double precision,
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
    first bigint;
    most bigint;
    known_far boolean := true;
BEGIN
    SELECT r.candidates, r.images, format('imrec.%I', r.feature || '_reduced') AS reduced_table INTO known
    FROM imrec.reduction AS r
    WHERE r.feature = refined.feature AND r.complete AND refined.metric = ANY (r.metrics);
    IF NOT FOUND OR k > 1000 OR cardinality(exclude) > 1000 THEN
        RETURN;
    END IF;
    most := ceil(worthwhile * known.images);
    SELECT array_agg(r.reduced ORDER BY q.n) AS reduced, array_agg(r.norm ORDER BY q.n) AS norms,
        array_agg(r.sums ORDER BY q.n) AS sums,
        bool_or(CASE WHEN metric = 'manhattan' THEN r.sums IS NULL ELSE r.reduced IS NULL END) AS unbounded
    INTO queries FROM unnest(near) WITH ORDINALITY AS q (v, n) CROSS JOIN imrec_internal.reduce(feature, q.v) AS r;
    IF queries.unbounded THEN
        RETURN;
    END IF;
    lower_bound := imrec_internal.lower_bound(metric, cardinality(near));
    IF within IS NULL THEN
        -- The images left out are among the candidates, but for them alone no row has to be looked at twice.
        first := known.candidates + 4 * k + cardinality(exclude);
        EXECUTE format(
            'SELECT array_agg(n.image_id), array_agg(n.low) FROM (SELECT f.image_id, %s AS low FROM %s AS f '
            'WHERE true%s ORDER BY low LIMIT %s) AS n', lower_bound, known.reduced_table, allowed, first
        ) INTO candidates, bounds
        USING queries.reduced, queries.norms, exclude, conditions, images, NULL, NULL, queries.sums;
        -- Of some that are likely the nearest ones follows how far the others may be.
        EXECUTE format('SELECT max(n.distance), count(*) = $8 AND NOT bool_or(n.disliked) FROM (%s) AS n', refine)
        INTO within, known_far
        USING near, far, exclude, conditions, images, NULL, candidates[:k + cardinality(exclude) + 50], k;
    END IF;
    IF known_far AND within NOT IN ('Infinity', 'NaN') THEN
        SELECT max(imrec_internal.reduction_bound(metric, within, n.norm)) INTO last_bound
        FROM unnest(queries.norms) AS n (norm);
    END IF;
    IF cardinality(candidates) < first THEN
        -- These are all.
        candidates := candidates[:coalesce(width_bucket(last_bound, bounds), cardinality(candidates))];
    ELSIF last_bound IS NULL THEN
        RETURN;
    ELSIF last_bound < bounds[first] THEN
        candidates := candidates[:width_bucket(last_bound, bounds)];
    ELSE
        EXECUTE format(
            'SELECT array_agg(n.image_id) FROM (SELECT f.image_id FROM %s AS f WHERE %s <= $9%s LIMIT %s) AS n',
            known.reduced_table, lower_bound, allowed, most + 1
        ) INTO candidates
        USING queries.reduced, queries.norms, exclude, conditions, images, NULL, NULL, queries.sums, last_bound;
        IF cardinality(candidates) > most THEN
            RETURN;
        END IF;
    END IF;
    EXECUTE format('SELECT array_agg(n.image_id), array_agg(n.distance) FROM (%s) AS n', refine)
    INTO ids, distances USING near, far, exclude, conditions, images, NULL, candidates;
    ids := coalesce(ids, '{}');
END;
$$;

COMMENT ON FUNCTION imrec_internal.refined(
    text, text, bigint, pgvector.vector[], pgvector.vector[], uuid[], jsonb, uuid[], text, text, double precision
) IS
'The k nearest, exactly, by comparing few; NULL where all have to be compared.';
