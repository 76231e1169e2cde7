-- Adds to pg_temp.duplicate_candidate all pairs of detailed images whose hash differs in at most three bits; returns
-- how many codes are that near. Cut into six blocks, two such codes agree in three of them: one equality join for
-- each of the 20 ways to choose three finds them all (Manku, Jain and Das Sarma 2007, doi:10.1145/1242572.1242592).
-- Every sixth bit makes a block, since neighbouring bits of a photo depend on each other.
-- Where more than 20 images share one code, each is tied to the first of them alone: n images make n pairs.
CREATE OR REPLACE FUNCTION imrec_internal.hash_candidates(feature text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET work_mem = '64MB'
SET enable_nestloop = off
SET enable_mergejoin = off
AS $$
DECLARE
    mask bigint;
    near bigint;
BEGIN
    CREATE TEMP TABLE duplicate_code ON COMMIT DROP AS
    SELECT n.code, CASE WHEN n.number > 20 THEN n.ids[1:1] ELSE n.ids END AS ids
    FROM (
        SELECT h.code::bigint AS code, array_agg(h.image_id ORDER BY h.image_id) AS ids, count(*) AS number
        FROM imrec_internal.stored_hash AS h
        INNER JOIN imrec.difference_hash AS d ON d.image_id = h.image_id
        WHERE h.feature = hash_candidates.feature AND imrec_internal.detailed(d.difference_hash)
        GROUP BY h.code
    ) AS n;
    ANALYZE pg_temp.duplicate_code;
    CREATE TEMP TABLE duplicate_near (code bigint, other bigint) ON COMMIT DROP;
    FOR mask IN
        SELECT bit_or(1::bigint << bit) FROM generate_series(0, 63) AS bit
        INNER JOIN (
            SELECT i, j, k FROM generate_series(0, 5) AS i, generate_series(0, 5) AS j, generate_series(0, 5) AS k
            WHERE i < j AND j < k
        ) AS block ON bit % 6 IN (i, j, k)
        GROUP BY i, j, k
    LOOP
        INSERT INTO pg_temp.duplicate_near (code, other)
        SELECT a.code, b.code FROM pg_temp.duplicate_code AS a
        INNER JOIN pg_temp.duplicate_code AS b ON a.code & mask = b.code & mask
        WHERE a.code < b.code AND bit_count((a.code # b.code)::bit(64)) <= 3;
    END LOOP;
    INSERT INTO pg_temp.duplicate_candidate (image_id, other_id)
    SELECT least(a.id, b.id), greatest(a.id, b.id)
    FROM (SELECT DISTINCT code, other FROM pg_temp.duplicate_near) AS n
    INNER JOIN (SELECT code, unnest(ids) AS id FROM pg_temp.duplicate_code) AS a ON a.code = n.code
    INNER JOIN (SELECT code, unnest(ids) AS id FROM pg_temp.duplicate_code) AS b ON b.code = n.other;
    GET DIAGNOSTICS near = ROW_COUNT;
    INSERT INTO pg_temp.duplicate_candidate (image_id, other_id)
    SELECT a.id, b.id
    FROM (SELECT code, unnest(ids) AS id FROM pg_temp.duplicate_code WHERE cardinality(ids) > 1) AS a
    INNER JOIN (SELECT code, unnest(ids) AS id FROM pg_temp.duplicate_code WHERE cardinality(ids) > 1) AS b
        ON b.code = a.code
    WHERE a.id < b.id;
    DROP TABLE pg_temp.duplicate_code, pg_temp.duplicate_near;
    RETURN near;
END;
$$;

COMMENT ON FUNCTION imrec_internal.hash_candidates(text) IS
'Adds pairs of images whose hash differs in at most three bits to the candidates of a search for duplicates.';
