-- Masks of 64 bits, of which two codes that differ in at most so many bits agree in at least one: the code is cut into
-- bits + 3 blocks, of which at least three are free of differences, and each mask is three of them (Manku, Jain and Das
-- Sarma 2007, doi:10.1145/1242572.1242592). 20 masks for 3 bits, 35 for 4, 84 for 6, of 18 to 33 bits each. Blocks are
-- made of every so-manieth bit, since neighbouring bits of a photo depend on each other.
CREATE OR REPLACE FUNCTION imrec_internal.hash_masks(bits integer)
RETURNS SETOF bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT bit_or(1::bigint << b.bit)
    FROM generate_series(0, 63) AS b (bit)
    INNER JOIN (
        SELECT i.i, j.j, k.k
        FROM generate_series(0, hash_masks.bits) AS i (i)
        INNER JOIN generate_series(1, hash_masks.bits + 1) AS j (j) ON i.i < j.j
        INNER JOIN generate_series(2, hash_masks.bits + 2) AS k (k) ON j.j < k.k
    ) AS chosen ON b.bit % (hash_masks.bits + 3) IN (chosen.i, chosen.j, chosen.k)
    GROUP BY chosen.i, chosen.j, chosen.k;
END;

COMMENT ON FUNCTION imrec_internal.hash_masks(integer) IS
'Masks, of which two hashes that differ in at most so many bits agree in at least one.';
