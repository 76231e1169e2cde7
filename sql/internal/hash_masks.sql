-- Masks of 64 bits, of which two codes that differ in at most so many bits agree in at least one: the code is cut into
-- bits + 3 blocks, of which at least three are free of differences, and each mask is three of them (Manku, Jain and Das
-- Sarma 2007, doi:10.1145/1242572.1242592). 20 masks for 3 bits, 35 for 4, 84 for 6, of 18 to 33 bits each. Blocks are
-- made of bits far apart, since neighbouring bits of a photo depend on each other.
CREATE OR REPLACE FUNCTION imrec_internal.hash_masks(bits integer)
RETURNS SETOF bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    WITH block AS (SELECT g.n FROM generate_series(0, bits + 2) AS g (n))
    SELECT bit_or(1::bigint << b.n)
    FROM block AS i
    INNER JOIN block AS j ON j.n > i.n
    INNER JOIN block AS k ON k.n > j.n
    INNER JOIN generate_series(0, 63) AS b (n) ON b.n % (bits + 3) IN (i.n, j.n, k.n)
    GROUP BY i.n, j.n, k.n;
END;
$$;

COMMENT ON FUNCTION imrec_internal.hash_masks(integer) IS
'Masks, of which two hashes that differ in at most so many bits agree in at least one.';
