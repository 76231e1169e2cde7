-- The first k images, by image_id, that have exactly this hash. However many share it, only k are read:
-- behind the chunk the index holds the whole hash, then the image_id.
CREATE FUNCTION imrec.hamming_equal(query bit(64), feature text, k bigint)
RETURNS uuid[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
-- Planned once a session, which takes 0.5 ms.
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN ARRAY(
        SELECT h.image_id FROM imrec.hash_feature AS h
        WHERE h.feature = hamming_equal.feature
            AND imrec.hash_chunk(h.code, 0) = imrec.hash_chunk(query, 0) AND h.code = query
        ORDER BY h.image_id LIMIT k
    );
END;
$$;

COMMENT ON FUNCTION imrec.hamming_equal IS 'The first k images, by image_id, that have exactly this hash.';
