-- What counts in a fusion, and how much, or an error that says what is wrong with the weights. distances and
-- evidence are the curve of the feature: fitted on the photos here, or shipped; NULL without one.
-- For a reader of some roots it is always the one shipped: a fitted one was measured on all photos.
CREATE OR REPLACE FUNCTION imrec_internal.fused_weight(weights jsonb, fusion text, shipped boolean)
RETURNS TABLE (
    feature text, metric text, weight double precision, slope double precision, place integer,
    distances double precision[], evidence double precision[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    used CONSTANT jsonb := coalesce(weights, (
        SELECT jsonb_object_agg(f.feature, CASE fusion WHEN 'evidence' THEN f.evidence_weight ELSE f.fused_weight END)
        FROM imrec.feature AS f
    ));
    named record;
BEGIN
    IF fusion IS NULL OR fusion NOT IN ('evidence', 'reciprocal_rank') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there is no fusion %L', fusion), HINT = 'It is evidence or reciprocal_rank.';
    END IF;
    FOR named IN
        SELECT w.key, w.value, f.feature IS NULL AS unknown
        FROM jsonb_each(used) AS w LEFT JOIN imrec.feature AS f ON f.feature = w.key
    LOOP
        IF named.unknown THEN
            RAISE invalid_parameter_value USING
                MESSAGE = format('there is no feature %L', named.key),
                HINT = format('The features are %s.', (SELECT string_agg(f.feature, ', ') FROM imrec.feature AS f));
        ELSIF jsonb_typeof(named.value) <> 'number' OR (named.value)::double precision < 0 THEN
            RAISE invalid_parameter_value USING
                MESSAGE = format('the weight of %s is %s, not a number of 0 or more', named.key, named.value);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM jsonb_each_text(used) AS w WHERE w.value::double precision > 0) THEN
        RAISE invalid_parameter_value USING MESSAGE = 'at least one feature needs a weight above 0';
    END IF;
    RETURN QUERY
    SELECT f.feature, f.fused_metric, w.value::double precision, f.evidence_slope::double precision,
        f.fused_place, coalesce(e.distances, s.distances), coalesce(e.evidence, s.evidence)
    FROM jsonb_each_text(used) AS w
    INNER JOIN imrec.feature AS f ON f.feature = w.key
    LEFT JOIN imrec_internal.shipped_evidence AS s ON s.feature = f.feature AND s.metric = f.fused_metric
    LEFT JOIN imrec.evidence AS e ON e.feature = f.feature AND e.metric = f.fused_metric AND NOT shipped
    WHERE w.value::double precision > 0;
END;
$$;

COMMENT ON FUNCTION imrec_internal.fused_weight(jsonb, text, boolean) IS
'What counts in a fusion, how much, and by which curve of evidence.';
