-- The k images whose hash differs in the fewest bits, fewest first; feature is ahash or dhash; always exact.
CREATE FUNCTION imrec.search(
    query bit, k integer DEFAULT 5, feature text DEFAULT 'ahash', metric text DEFAULT NULL,
    filter jsonb DEFAULT '{}', among uuid[] DEFAULT NULL
)
RETURNS TABLE (rank bigint, image_id uuid, distance double precision, path text, copies bigint, answer text)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 10
AS $$
    WITH n AS MATERIALIZED (
        SELECT * FROM imrec.nearest_hashes(
            ARRAY[search.query], '{}', search.feature, search.metric, search.k, 'mean', '{}', search.filter,
            search.among
        )
    )
    SELECT n.rank, n.image_id, n.distance, p.path, p.copies, n.answer
    FROM n INNER JOIN imrec.places(ARRAY(SELECT n.image_id FROM n)) AS p ON p.image_id = n.image_id
    ORDER BY n.rank
$$;

COMMENT ON FUNCTION imrec.search(bit, integer, text, text, jsonb, uuid[]) IS
'The k images whose hash differs from the query in the fewest bits, each with its path; always exact.';
