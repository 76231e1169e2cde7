-- The same for a feature as text, such as `imrec-pg embed` prints it: a vector, or 64 digits 0 and 1.
CREATE FUNCTION imrec.search(
    query text, k integer DEFAULT 5, feature text DEFAULT NULL, metric text DEFAULT NULL,
    filter jsonb DEFAULT '{}', among uuid[] DEFAULT NULL, method text DEFAULT 'auto'
)
RETURNS TABLE (rank bigint, image_id uuid, distance double precision, path text, copies bigint, answer text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
AS $$
BEGIN
    IF query ~ '^\s*\[' THEN
        RETURN QUERY SELECT s.* FROM imrec.search(
            query::vector, k, coalesce(feature, 'embedding'), metric, filter, among, method
        ) AS s;
    ELSIF query ~ '^[01]{64}$' THEN
        RETURN QUERY SELECT s.* FROM imrec.search(
            query::bit(64), k, coalesce(feature, 'ahash'), metric, filter, among
        ) AS s;
    ELSE
        RAISE invalid_parameter_value USING
            MESSAGE = format('%L is no feature: a vector begins with [, a hash has 64 digits 0 and 1', left(query, 40)),
            HINT = 'imrec-pg embed prints the features of a file; imrec.similar_to takes the path of a stored one.';
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec.search(text, integer, text, text, jsonb, uuid[], text) IS
'The k images nearest to a feature as text, such as imrec-pg embed prints it.';
