-- The k nearest by comparing few: candidates by their reduced vectors, whose distances are lower bounds (filter and
-- refine: Faloutsos et al. 1994, doi:10.1145/191843.191925; docs/adr/0025), then these by the whole ones. Exact; NULL
-- where it does not apply or would not pay, and all have to be compared.
--
-- Reduced vectors lie many in a row, a block, and those that came later one in a row. Of blocks the nearest image is
-- looked for at first, which is a third of the work of looking at each.
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
    known CONSTANT record := imrec_internal.known_reduction(feature, metric, k);
    -- The images left out are among those nearest, but for them alone no row has to be looked at twice.
    wanted CONSTANT bigint := k + cardinality(exclude) + 50;
    few bigint := known.few + cardinality(exclude);
    -- Of fewer photos than that it is faster to compare those alone.
    least_share CONSTANT double precision := 0.1;
    share double precision := 1; -- of the images, that a filter lets pass
    queries record;
    bound record;
    listed uuid[]; -- blocks, the nearest first
    lows double precision[];
    chosen text := 'b.block_id = ANY ($10)';
    images_in text; -- some blocks, and those that are in none
    candidates uuid[];
    last_bound double precision;
    far_enough boolean := true; -- from dislikes
BEGIN
    SELECT array_agg(r.reduced ORDER BY q.n) AS reduced, array_agg(r.norm ORDER BY q.n) AS norms,
        array_agg(r.sums ORDER BY q.n) AS sums,
        bool_or(CASE WHEN metric = 'manhattan' THEN r.sums IS NULL ELSE r.reduced IS NULL END) AS unbounded
    INTO queries FROM unnest(near) WITH ORDINALITY AS q (v, n) CROSS JOIN imrec_internal.reduce(feature, q.v) AS r;
    IF few IS NULL OR queries.unbounded OR cardinality(exclude) > 1000 THEN
        RETURN;
    END IF;
    bound := imrec_internal.block_bounds(metric, cardinality(near), known.block_images, known.dims, known.sums);
    images_in := format(
        '(SELECT u.image_id, u.low FROM (SELECT * FROM imrec.%1$I AS b WHERE %%s OFFSET 0) AS b '
        'CROSS JOIN LATERAL unnest(b.image_ids, %2$s) AS u (image_id, low) '
        'UNION ALL SELECT f.image_id, %3$s FROM imrec.%4$I AS f)',
        feature || '_block', bound.every, imrec_internal.lower_bound(metric, cardinality(near)), feature || '_reduced'
    );
    IF allowed <> '' THEN
        -- Their ids are random.
        EXECUTE format(
            'WITH sample AS MATERIALIZED (SELECT unnest(b.image_ids) AS image_id FROM ('
            'SELECT x.image_ids FROM imrec.%1$I AS x ORDER BY x.block_id LIMIT 20) AS b) '
            'SELECT (SELECT count(*) FROM sample AS f WHERE true%2$s)::double precision / count(*) FROM sample '
            'HAVING count(*) > 0', feature || '_block', allowed
        ) INTO share USING NULL, NULL, exclude, conditions, images;
        IF share < least_share IS NOT FALSE THEN
            RETURN;
        END IF;
        few := least(few / share, known.most);
    END IF;
    IF within IS NULL THEN
        EXECUTE format(
            'SELECT array_agg(n.block_id), array_agg(n.low) FROM (SELECT b.block_id, %s AS low FROM imrec.%I AS b '
            'ORDER BY low LIMIT %s) AS n', bound.nearest, feature || '_block', few
        ) INTO listed, lows
        USING queries.reduced, queries.norms, exclude, conditions, images, NULL, NULL, queries.sums;
        EXECUTE format(
            'SELECT array_agg(n.image_id) FROM (SELECT f.image_id FROM (SELECT * FROM %s AS u ORDER BY u.low OFFSET 0) '
            'AS f WHERE true%s ORDER BY f.low LIMIT %s) AS n', format(images_in, chosen), allowed, wanted
        ) INTO candidates
        USING queries.reduced, queries.norms, exclude, conditions, images, NULL, NULL, queries.sums, NULL,
            listed[:ceil(wanted / share)::integer];
        -- Of some that are likely the nearest ones follows how far the others may be.
        EXECUTE format('SELECT max(n.distance), count(*) = $8 AND NOT bool_or(n.disliked) FROM (%s) AS n', refine)
        INTO within, far_enough USING near, far, exclude, conditions, images, NULL, candidates, k;
    END IF;
    IF NOT far_enough OR within IN ('Infinity', 'NaN') THEN
        RETURN;
    END IF;
    SELECT max(imrec_internal.reduction_bound(metric, within, n.norm)) INTO last_bound
    FROM unnest(queries.norms) AS n (norm);
    IF cardinality(lows) = few AND lows[few] <= last_bound OR listed IS NULL THEN
        chosen := bound.nearest || ' <= $9';
    END IF;
    EXECUTE format(
        'SELECT array_agg(n.image_id) FROM (SELECT f.image_id FROM %s AS f WHERE f.low <= $9%s LIMIT %s) AS n',
        format(images_in, chosen), allowed, known.most + 1
    ) INTO candidates
    USING queries.reduced, queries.norms, exclude, conditions, images, NULL, NULL, queries.sums, last_bound,
        listed[:width_bucket(last_bound, lows)];
    IF cardinality(candidates) > known.most THEN
        RETURN;
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
