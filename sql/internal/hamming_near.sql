-- All images within the first of these radii that holds as many as wanted, by multi-index hashing (Norouzi,
-- Punjani and Fleet 2014, arXiv:1307.2982), unless a scan is cheaper. An image may be named several times.
--
-- Let the four chunks of the hash be read to within t0 .. t3 bits, -1 for not at all. Nothing within r bits
-- is missed when (t0 + 1) + .. + (t3 + 1) = r + 1: what differs by more in every chunk differs in r + 1 bits.
-- So a chunk that too many photos share is left out, and the others are read further (Qin et al. 2018,
-- doi:10.1109/ICDE.2018.00013).
CREATE OR REPLACE FUNCTION imrec_internal.hamming_near(
    query bit(64), feature text, radii integer[], wanted bigint,
    OUT complete boolean, OUT image_ids uuid[], OUT distances integer[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    keys CONSTANT integer[] := '{0,1,17,137,697}'; -- how many chunks differ in at most -1, 0 .. 3 bits
    pages CONSTANT double precision := pg_relation_size(to_regclass(format('imrec.%I', feature)))
        / current_setting('block_size')::integer;
    -- What may be spent before a scan is cheaper, in rows read through an index: one takes 0.2 us, four times a
    -- row of a scan. So a twelfth of the table is a third of a scan's time; 0.3 ms go whatever the size, so a
    -- small table is scanned at once. 120 rows a page; statistics may be missing, or older than a bulk load,
    -- but the size on disk is always true. Nothing, where row-level security hides rows: the indexes cannot be
    -- used then, and each look into one would be a scan.
    -- A session may SET imrec.hamming_budget.
    budget CONSTANT double precision := coalesce(
        nullif(current_setting('imrec.hamming_budget', true), '')::double precision,
        CASE WHEN row_security_active('imrec.file') THEN 0 ELSE 120 * pages / 12 - 1500 END
    );
    -- Where VACUUM has not seen a page since it changed, the row is looked up in the table too, in 1 us.
    row_cost CONSTANT double precision := 6 - 5 * least(1, (
        SELECT c.relallvisible / greatest(pages, 1)
        FROM pg_class AS c WHERE c.oid = to_regclass(format('imrec.%I', feature))
    ));
    spent double precision := 0;
    chunks integer[] := '{0,1,2,3}';
    m integer;
    radius integer;
    most bigint;
    found record;
BEGIN
    -- The 64 in a parameter's type does not bind, and of another length the chunks would be wrong.
    IF length(query) <> 64 OR NOT EXISTS (
        SELECT FROM imrec.feature AS f WHERE f.feature = hamming_near.feature AND f.type = 'bit'
    ) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('%s bits have no Hamming distance to the feature %L', length(query), feature),
            HINT = format('Give 64 bits, and one of %s.', (
                SELECT string_agg(f.feature, ', ') FROM imrec.feature AS f WHERE f.type = 'bit'
            ));
    END IF;
    complete := false;
    FOREACH radius IN ARRAY radii LOOP
        <<allotment>> LOOP
            image_ids := '{}';
            distances := '{}';
            m := cardinality(chunks);
            spent := spent -- to find a key takes as long as to read 8 rows
                + 8 * (SELECT sum(keys[(radius + m - i) / m + 1]) FROM generate_series(0, m - 1) AS i);
            IF radius >= 4 * m OR greatest(spent, 5 * wanted) > budget THEN
                RETURN;
            END IF;
            FOR i IN 0 .. least(radius, m - 1) LOOP
                most := ceil(least(budget / 4, budget - spent + 1) / row_cost);
                found := imrec_internal.hamming_probe(
                    query, feature, radius, chunks[i + 1], (radius + m - i) / m - 1, most
                );
                spent := spent + row_cost * found.hits;
                IF found.hits >= most THEN
                    chunks := array_remove(chunks, chunks[i + 1]);
                    CONTINUE allotment;
                END IF;
                image_ids := image_ids || found.image_ids;
                distances := distances || found.distances;
            END LOOP;
            EXIT;
        END LOOP;
        complete := wanted IS NULL OR cardinality(image_ids) >= 4 * wanted
            OR (SELECT count(DISTINCT n) FROM unnest(image_ids) AS n) >= wanted;
        EXIT WHEN complete;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION imrec_internal.hamming_near(bit, text, integer[], bigint) IS
'All images within the first of the radii that holds enough, unless a scan is cheaper; for hamming_search.';
