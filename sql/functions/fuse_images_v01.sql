-- The k images most like the likes and least like the dislikes by several features at once, neither in the
-- answer. weights such as {"embedding": 2, "histogram": 1}; by default imrec.default_weights(). For strategy
-- see imrec.recommend.
CREATE FUNCTION imrec.fuse(
    positive uuid[], negative uuid[] DEFAULT '{}', k integer DEFAULT 5, weights jsonb DEFAULT NULL,
    strategy text DEFAULT 'average', filter jsonb DEFAULT '{}', among uuid[] DEFAULT NULL,
    method text DEFAULT 'auto'
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
    SELECT * FROM imrec.fuse_features(
        imrec.stored_features(fuse.positive), imrec.stored_features(fuse.negative), fuse.weights, fuse.k,
        imrec.combination(fuse.strategy), fuse.positive || fuse.negative, fuse.filter, fuse.among, fuse.method
    )
$$;

COMMENT ON FUNCTION imrec.fuse(uuid[], uuid[], integer, jsonb, text, jsonb, uuid[], text) IS
'The k images most like the first and least like the second by several features at once, and why.';
