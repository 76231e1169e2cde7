-- All images within the first of these radii that holds as many as wanted, by multi-index hashing (Norouzi,
-- Punjani and Fleet 2014, arXiv:1307.2982), unless a scan is cheaper. An image may be named several times.
--
-- Let the four chunks of the hash be read to within t0 .. t3 bits, -1 for not at all. Nothing within r bits
-- is missed when (t0 + 1) + .. + (t3 + 1) = r + 1: what differs by more in every chunk differs in r + 1 bits.
-- So a chunk that too many photos share is left out, and the others are read further (Qin et al. 2018,
-- doi:10.1109/ICDE.2018.00013).
CREATE FUNCTION imrec.hamming_near(
    query bit(64), feature text, radii integer[], wanted bigint,
    OUT complete boolean, OUT image_ids uuid[], OUT distances integer[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    keys CONSTANT integer[] := '{0,1,17,137,697}'; -- how many chunks differ in at most -1, 0 .. 3 bits
    cost CONSTANT record := imrec.hamming_budget();
    spent double precision := 0;
    chunks integer[] := '{0,1,2,3}';
    m integer;
    radius integer;
    most bigint;
    found record;
BEGIN
    complete := false;
    FOREACH radius IN ARRAY radii LOOP
        <<allotment>> LOOP
            image_ids := '{}';
            distances := '{}';
            m := cardinality(chunks);
            spent := spent -- to find a key takes as long as to read 8 rows
                + 8 * (SELECT sum(keys[(radius + m - i) / m + 1]) FROM generate_series(0, m - 1) AS i);
            IF radius >= 4 * m OR greatest(spent, 5 * wanted) > cost.budget THEN
                RETURN;
            END IF;
            FOR i IN 0 .. least(radius, m - 1) LOOP
                most := ceil(least(cost.budget / 4, cost.budget - spent + 1) / cost.row_cost);
                found := imrec.hamming_probe(
                    query, feature, radius, chunks[i + 1], (radius + m - i) / m - 1, most
                );
                spent := spent + cost.row_cost * found.hits;
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

COMMENT ON FUNCTION imrec.hamming_near IS
'All images within the first of the radii that holds enough, unless a scan is cheaper; for hamming_search.';
