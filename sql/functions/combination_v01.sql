-- How imrec.nearest combines several images, by the strategy of imrec.recommend.
CREATE FUNCTION imrec.combination(strategy text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    IF strategy IN ('average', 'best_score') THEN
        RETURN CASE strategy WHEN 'average' THEN 'mean' ELSE 'min' END;
    END IF;
    RAISE invalid_parameter_value USING
        MESSAGE = format('there is no strategy %L', strategy),
        HINT = 'The strategies are average and best_score.';
END;
$$;

COMMENT ON FUNCTION imrec.combination IS
'How imrec.nearest combines several images, by the strategy of recommend.';
