-- Whether a picture has enough detail for its hashes to vote, by its difference_hash: flat, split and evenly graded
-- pictures have few bits set, or most, or rows that repeat, and agree with many others by chance.
CREATE OR REPLACE FUNCTION imrec_internal.detailed(difference_hash bit(64))
RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT abs(bit_count(detailed.difference_hash) - 32) <= 24 AND count(DISTINCT n.bits) > 3
    FROM (
        SELECT (detailed.difference_hash::bigint >> (8 * i.i)) & 255 AS bits
        FROM generate_series(0, 7) AS i (i)
    ) AS n;
END;

COMMENT ON FUNCTION imrec_internal.detailed(bit) IS
'Whether a picture has enough detail for its hashes to tell something, by its difference_hash.';
