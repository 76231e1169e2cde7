-- The k images nearest to likes and far from dislikes, by any feature; see imrec.nearest_vectors and
-- imrec.nearest_hashes for how. An error when a like or dislike lacks the feature.
CREATE FUNCTION imrec.nearest(
    positive imrec.features[], negative imrec.features[], feature text, metric text, k bigint, combine text,
    exclude uuid[], filter jsonb, among uuid[], method text
)
RETURNS TABLE (rank bigint, image_id uuid, distance double precision, answer text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
AS $$
BEGIN
    metric := imrec.check_question(feature, metric, k, method, combine);
    IF feature = 'embedding' THEN
        RETURN QUERY SELECT n.* FROM imrec.nearest_vectors(
            ARRAY(SELECT f.embedding FROM unnest(positive) AS f), ARRAY(SELECT f.embedding FROM unnest(negative) AS f),
            feature, metric, k, combine, exclude, filter, among, method
        ) AS n;
    ELSIF feature = 'histogram' THEN
        RETURN QUERY SELECT n.* FROM imrec.nearest_vectors(
            ARRAY(SELECT f.histogram FROM unnest(positive) AS f), ARRAY(SELECT f.histogram FROM unnest(negative) AS f),
            feature, metric, k, combine, exclude, filter, among, method
        ) AS n;
    ELSIF feature = 'ahash' THEN
        RETURN QUERY SELECT n.* FROM imrec.nearest_hashes(
            ARRAY(SELECT f.average_hash FROM unnest(positive) AS f),
            ARRAY(SELECT f.average_hash FROM unnest(negative) AS f),
            feature, metric, k, combine, exclude, filter, among
        ) AS n;
    ELSE
        RETURN QUERY SELECT n.* FROM imrec.nearest_hashes(
            ARRAY(SELECT f.difference_hash FROM unnest(positive) AS f),
            ARRAY(SELECT f.difference_hash FROM unnest(negative) AS f),
            feature, metric, k, combine, exclude, filter, among
        ) AS n;
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec.nearest IS
'The k images nearest to likes and far from dislikes; imrec.search and imrec.recommend are simpler.';
