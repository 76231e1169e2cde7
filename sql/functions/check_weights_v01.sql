-- The weights to use, the default ones when NULL, features of weight 0 left out; an error unless they make
-- sense.
CREATE FUNCTION imrec.check_weights(weights jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    used jsonb := '{}';
    named record;
BEGIN
    FOR named IN SELECT w.key, w.value FROM jsonb_each(coalesce(weights, imrec.default_weights())) AS w LOOP
        PERFORM imrec.check_question(named.key, NULL, 1, 'auto', 'mean');
        IF jsonb_typeof(named.value) <> 'number' OR (named.value)::double precision < 0 THEN
            RAISE invalid_parameter_value USING
                MESSAGE = format('the weight of %s is %s, not a number of 0 or more', named.key, named.value);
        ELSIF (named.value)::double precision > 0 THEN
            used := used || jsonb_build_object(named.key, named.value);
        END IF;
    END LOOP;
    IF used = '{}' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'at least one feature needs a weight above 0';
    END IF;
    RETURN used;
END;
$$;

COMMENT ON FUNCTION imrec.check_weights IS 'The weights to use; an error unless they make sense.';
