-- Whether two images, whose hashes differ in so many bits, may be copies: their embeddings may still have to agree.
CREATE OR REPLACE FUNCTION imrec_internal.hashes_agree(
    difference_bits bigint, perceptual_bits bigint, most imrec_internal.duplicate_limit
)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN difference_bits <= most.difference_bits AND perceptual_bits <= most.perceptual_bits
        OR least(difference_bits, perceptual_bits) <= most.near_bits
            AND greatest(difference_bits, perceptual_bits) <= most.other_bits;
END;
$$;

COMMENT ON FUNCTION imrec_internal.hashes_agree(bigint, bigint, imrec_internal.duplicate_limit) IS
'Whether the hashes of two images speak for copies.';
