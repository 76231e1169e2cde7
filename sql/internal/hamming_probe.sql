-- Reads images whose chunk differs from the query's in at most so many bits, at most so many: how many there
-- were, and those within so many bits of the whole query. A part of imrec_internal.hamming_near.
CREATE OR REPLACE FUNCTION imrec_internal.hamming_probe(
    query bit(64), feature text, bits integer, chunk integer, chunk_bits integer, most bigint,
    OUT hits bigint, OUT image_ids uuid[], OUT distances integer[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
-- Else a table without statistics is scanned. A bitmap would be made in full before LIMIT could stop it.
SET enable_seqscan = off
SET enable_bitmapscan = off
-- Planned once a session, which takes 0.5 ms, and for ten keys: 700 known ones look like the whole table.
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    keys CONSTANT bigint[] := ARRAY(
        SELECT imrec_internal.hash_chunk(query, chunk) # f.flip FROM imrec.hamming_flip AS f WHERE f.bits <= chunk_bits
    );
BEGIN
    -- Four statements: each names a chunk as a constant, so as to match its index.
    IF chunk = 0 THEN
        SELECT count(*), array_agg(n.i) FILTER (WHERE n.d <= bits), array_agg(n.d) FILTER (WHERE n.d <= bits)
        INTO hits, image_ids, distances FROM (
            SELECT h.image_id AS i, imrec_internal.hash_distance(h.code, query) AS d FROM imrec_internal.stored_hash AS h
            WHERE h.feature = hamming_probe.feature AND imrec_internal.hash_chunk(h.code, 0) = ANY (keys) LIMIT most
        ) AS n;
    ELSIF chunk = 1 THEN
        SELECT count(*), array_agg(n.i) FILTER (WHERE n.d <= bits), array_agg(n.d) FILTER (WHERE n.d <= bits)
        INTO hits, image_ids, distances FROM (
            SELECT h.image_id AS i, imrec_internal.hash_distance(h.code, query) AS d FROM imrec_internal.stored_hash AS h
            WHERE h.feature = hamming_probe.feature AND imrec_internal.hash_chunk(h.code, 1) = ANY (keys) LIMIT most
        ) AS n;
    ELSIF chunk = 2 THEN
        SELECT count(*), array_agg(n.i) FILTER (WHERE n.d <= bits), array_agg(n.d) FILTER (WHERE n.d <= bits)
        INTO hits, image_ids, distances FROM (
            SELECT h.image_id AS i, imrec_internal.hash_distance(h.code, query) AS d FROM imrec_internal.stored_hash AS h
            WHERE h.feature = hamming_probe.feature AND imrec_internal.hash_chunk(h.code, 2) = ANY (keys) LIMIT most
        ) AS n;
    ELSIF chunk = 3 THEN
        SELECT count(*), array_agg(n.i) FILTER (WHERE n.d <= bits), array_agg(n.d) FILTER (WHERE n.d <= bits)
        INTO hits, image_ids, distances FROM (
            SELECT h.image_id AS i, imrec_internal.hash_distance(h.code, query) AS d FROM imrec_internal.stored_hash AS h
            WHERE h.feature = hamming_probe.feature AND imrec_internal.hash_chunk(h.code, 3) = ANY (keys) LIMIT most
        ) AS n;
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec_internal.hamming_probe(bit, text, integer, integer, integer, bigint) IS
'Images alike in one chunk of the hash; a part of hamming_near.';
