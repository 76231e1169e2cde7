-- Adds pairs of codes that differ in at most so many bits, and agree where the mask has bits, to
-- pg_temp.duplicate_near: the codes of a hash of all pictures with detail.
CREATE OR REPLACE FUNCTION imrec_internal.near_codes(feature text, bits integer, mask bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
-- Of 450,000 codes it takes half the time with hash tables that fit into a processor's cache, in parts.
SET work_mem = '2MB'
SET enable_nestloop = off
SET enable_mergejoin = off
AS $$
BEGIN
    IF to_regclass('pg_temp.duplicate_code') IS NULL THEN
        CREATE TEMP TABLE duplicate_code ON COMMIT DROP AS
        SELECT DISTINCT CASE feature WHEN 'difference_hash' THEN c.difference ELSE c.perceptual END AS code
        FROM pg_temp.duplicate_class AS c
        WHERE c.detailed;
        ANALYZE pg_temp.duplicate_code;
    END IF;
    INSERT INTO pg_temp.duplicate_near (code, other)
    SELECT a.code, b.code FROM pg_temp.duplicate_code AS a
    INNER JOIN pg_temp.duplicate_code AS b ON a.code & mask = b.code & mask
    WHERE a.code < b.code AND bit_count((a.code # b.code)::bit(64)) <= bits;
END;
$$;

COMMENT ON FUNCTION imrec_internal.near_codes(text, integer, bigint) IS
'Adds pairs of codes within so many bits that agree in a mask to those of a search for duplicates.';
