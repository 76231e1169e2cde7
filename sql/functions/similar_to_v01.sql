-- The k images most like the one that a stored file holds, itself left out.
CREATE FUNCTION imrec.similar_to(
    photo text, k integer DEFAULT 5, feature text DEFAULT 'embedding', metric text DEFAULT NULL,
    filter jsonb DEFAULT '{}', among uuid[] DEFAULT NULL, method text DEFAULT 'auto'
)
RETURNS TABLE (rank bigint, image_id uuid, distance double precision, path text, copies bigint, answer text)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 10
AS $$
    SELECT * FROM imrec.similar_to(imrec.image_at($1), $2, $3, $4, $5, $6, $7)
$$;

COMMENT ON FUNCTION imrec.similar_to(text, integer, text, text, jsonb, uuid[], text) IS
'The k images most like the one that a stored file holds, nearest first, itself left out.';
