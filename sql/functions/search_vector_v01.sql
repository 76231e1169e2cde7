-- The k images nearest to a vector, nearest first; feature is embedding or histogram, metric cosine (the
-- default), euclidean or manhattan. answer is exact, approximate, or with method => 'approximate' maybe
-- truncated.
CREATE FUNCTION imrec.search(
    query vector, k integer DEFAULT 5, feature text DEFAULT 'embedding', metric text DEFAULT NULL,
    filter jsonb DEFAULT '{}', among uuid[] DEFAULT NULL, method text DEFAULT 'auto'
)
RETURNS TABLE (rank bigint, image_id uuid, distance double precision, path text, copies bigint, answer text)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 10
AS $$
    WITH n AS MATERIALIZED (
        SELECT * FROM imrec.nearest_vectors(
            ARRAY[search.query], '{}', search.feature, search.metric, search.k, 'mean', '{}', search.filter,
            search.among, search.method
        )
    )
    SELECT n.rank, n.image_id, n.distance, p.path, p.copies, n.answer
    FROM n INNER JOIN imrec.places(ARRAY(SELECT n.image_id FROM n)) AS p ON p.image_id = n.image_id
    ORDER BY n.rank
$$;

COMMENT ON FUNCTION imrec.search(vector, integer, text, text, jsonb, uuid[], text) IS
'The k images nearest to a vector, nearest first, each with its path and whether the answer is exact.';
