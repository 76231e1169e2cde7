-- Masks of 64 bits, of which two codes that differ in at most so many bits agree in at least one: the code is cut into
-- bits + 3 blocks, of which at least three are free of differences, and each mask is three of them (Manku, Jain and Das
-- Sarma 2007, doi:10.1145/1242572.1242592). 20 masks for 3 bits, 35 for 4, 84 for 6, of 18 to 33 bits each. Blocks are
-- made of bits far apart, since neighbouring bits of a photo depend on each other.
CREATE OR REPLACE FUNCTION imrec_internal.hash_masks(bits integer)
RETURNS SETOF bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    WITH block AS (SELECT g.n FROM generate_series(0, hash_masks.bits + 2) AS g (n))

    SELECT bit_or(1::bigint << bit.n)
    FROM block AS i
    INNER JOIN block AS j ON i.n < j.n
    INNER JOIN block AS k ON j.n < k.n
    INNER JOIN generate_series(0, 63) AS bit (n) ON bit.n % (hash_masks.bits + 3) IN (i.n, j.n, k.n)
    GROUP BY i.n, j.n, k.n;
END;

COMMENT ON FUNCTION imrec_internal.hash_masks(integer) IS
'Masks, of which two hashes that differ in at most so many bits agree in at least one.';
