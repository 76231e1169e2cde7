-- What counts as alike at a strictness; an error when there is none of that name.
CREATE OR REPLACE FUNCTION imrec_internal.limit_of(strictness text)
RETURNS imrec_internal.duplicate_limit
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    limits imrec_internal.duplicate_limit;
BEGIN
    SELECT l.* INTO limits FROM imrec_internal.duplicate_limit AS l WHERE l.strictness = limit_of.strictness;
    IF NOT FOUND THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there is no strictness %L', strictness), HINT = 'Choose strict, normal or loose.';
    END IF;
    RETURN limits;
END;
$$;

COMMENT ON FUNCTION imrec_internal.limit_of(text) IS 'What counts as alike at a strictness.';
