-- The metric to use, the feature's default when NULL; an error unless all of the question makes sense.
CREATE FUNCTION imrec.check_question(feature text, metric text, k bigint, method text, combine text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    metrics CONSTANT text[] := CASE
        WHEN feature IN ('embedding', 'histogram') THEN '{cosine,euclidean,manhattan}'::text[]
        WHEN feature IN ('ahash', 'dhash') THEN '{hamming}'::text[]
    END;
BEGIN
    IF metrics IS NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there is no feature %L', feature),
            HINT = 'The features are embedding, histogram, ahash and dhash.';
    ELSIF coalesce(metric, metrics[1]) <> ALL (metrics) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('%s has no %s distance', feature, metric),
            HINT = format('Choose from %s.', array_to_string(metrics, ', '));
    ELSIF k IS NULL OR k NOT BETWEEN 1 AND 1000000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('k is how many images to return, from 1 to 1,000,000, not %s', k);
    ELSIF method IS NULL OR method NOT IN ('auto', 'exact', 'approximate') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there is no method %L', method),
            HINT = 'The methods are auto, exact and approximate.';
    ELSIF combine IS NULL OR combine NOT IN ('mean', 'min') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('queries are combined by their mean or by min, not %L', combine);
    END IF;
    RETURN coalesce(metric, metrics[1]);
END;
$$;

COMMENT ON FUNCTION imrec.check_question IS
'The metric to use; an error unless all of the question makes sense.';
