-- An error unless the vectors can be compared.
CREATE FUNCTION imrec.check_vectors(positive vector[], negative vector[], metric text)
RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    IF cardinality(positive) > 0 IS NOT TRUE OR EXISTS (
        SELECT FROM unnest(positive || negative) AS q (v) WHERE q.v IS NULL
    ) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'one of the images has no such feature, or no image was named',
            HINT = 'imrec-pg status says what is missing, imrec-pg ingest computes it.';
    ELSIF metric = 'cosine' AND EXISTS (
        SELECT FROM unnest(positive || negative) AS q (v) WHERE vector_norm(q.v) = 0
    ) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a vector of zeros has no cosine distance',
            HINT = 'Likes and dislikes that are the same photos cancel each other out.';
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec.check_vectors IS 'An error unless the vectors can be compared.';
