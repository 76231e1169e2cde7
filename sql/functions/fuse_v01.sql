-- The k images most like the one that a stored file holds, by several features at once, itself left out.
CREATE FUNCTION imrec.fuse(
    photo text, k integer DEFAULT 5, weights jsonb DEFAULT NULL, filter jsonb DEFAULT '{}',
    among uuid[] DEFAULT NULL, method text DEFAULT 'auto'
)
RETURNS TABLE (
    rank bigint, image_id uuid, fused double precision, path text, copies bigint,
    embedding_rank bigint, embedding_distance double precision,
    histogram_rank bigint, histogram_distance double precision,
    ahash_rank bigint, ahash_distance double precision,
    dhash_rank bigint, dhash_distance double precision, answer text
)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 10
AS $$
    SELECT * FROM imrec.fuse(ARRAY[imrec.image_at($1)], '{}', $2, $3, 'average', $4, $5, $6)
$$;

COMMENT ON FUNCTION imrec.fuse(text, integer, jsonb, jsonb, uuid[], text) IS
'The k images most like the one that a stored file holds, by several features at once, and why.';
