-- Whether two images, whose hashes differ in so many bits, may be copies: their embeddings may still have to agree.
CREATE OR REPLACE FUNCTION imrec_internal.hashes_agree(
    difference_bits bigint, perceptual_bits bigint, most imrec_internal.duplicate_limit
)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashes_agree.difference_bits <= (hashes_agree.most).difference_bits
    AND hashes_agree.perceptual_bits <= (hashes_agree.most).perceptual_bits)
    OR (least(hashes_agree.difference_bits, hashes_agree.perceptual_bits) <= (hashes_agree.most).near_bits
        AND greatest(hashes_agree.difference_bits, hashes_agree.perceptual_bits) <= (hashes_agree.most).other_bits);

COMMENT ON FUNCTION imrec_internal.hashes_agree(bigint, bigint, imrec_internal.duplicate_limit) IS
'Whether the hashes of two images speak for copies.';
