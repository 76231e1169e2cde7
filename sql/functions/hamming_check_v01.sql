-- Nothing when a query of this length can be compared to the feature, an error that says what can otherwise.
CREATE FUNCTION imrec.hamming_check(query bit(64), feature text)
RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    -- The 64 in a parameter's type does not bind, and of another length the chunks would be wrong.
    IF feature NOT IN ('ahash', 'dhash') OR length(query) <> 64 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('%s bits have no Hamming distance to the feature %L', length(query), feature),
            HINT = 'Give 64 bits, and ''ahash'' or ''dhash''.';
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec.hamming_check IS
'Raises an error unless the query has 64 bits and the feature is ahash or dhash.';
