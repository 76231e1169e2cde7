-- The k images most like a stored one, itself left out.
CREATE FUNCTION imrec.similar_to(
    photo uuid, k integer DEFAULT 5, feature text DEFAULT 'embedding', metric text DEFAULT NULL,
    filter jsonb DEFAULT '{}', among uuid[] DEFAULT NULL, method text DEFAULT 'auto'
)
RETURNS TABLE (rank bigint, image_id uuid, distance double precision, path text, copies bigint, answer text)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 10
AS $$
    SELECT * FROM imrec.recommend(ARRAY[$1], '{}', $2, $3, $4, 'average', $5, $6, $7)
$$;

COMMENT ON FUNCTION imrec.similar_to(uuid, integer, text, text, jsonb, uuid[], text) IS
'The k images most like a stored one, nearest first, itself left out.';
