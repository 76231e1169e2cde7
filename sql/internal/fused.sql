-- One ranking from several features by reciprocal rank fusion (Cormack, Clarke and Buettcher 2009,
-- doi:10.1145/1571941.1572114): the image that is number r by a feature gets that feature's weight / (5 + r);
-- the authors' constant is 60, docs/quality.md says why not here. Each feature ranks the first 200 images, or
-- 4 k of them. features tells of each feature the rank, NULL for those behind, and the distance.
-- weights such as {"embedding": 2, "histogram": 1}; by default those of imrec.feature.
--
-- A part of imrec.fuse, which shows the files; roots as in imrec_internal.nearest.
CREATE OR REPLACE FUNCTION imrec_internal.fused(
    likes imrec.features[], dislikes imrec.features[], k bigint, weights jsonb, combine text, exclude uuid[],
    filter jsonb, among uuid[], method text, roots uuid[]
)
RETURNS TABLE (rank bigint, fused double precision, certainty text, image_id uuid, features jsonb)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    used CONSTANT jsonb := coalesce(weights, (SELECT jsonb_object_agg(f.feature, f.fused_weight) FROM imrec.feature AS f));
    -- All features are to be ranked among the same photos.
    pinned CONSTANT jsonb := CASE
        WHEN filter ?| '{cluster,in_box}' AND NOT filter ? 'by_feature' THEN filter || '{"by_feature": "embedding"}'
        ELSE filter END;
    named record;
BEGIN
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
    WITH weight AS MATERIALIZED (
        SELECT f.feature, f.fused_metric AS metric, w.value::double precision AS weight
        FROM jsonb_each_text(used) AS w INNER JOIN imrec.feature AS f ON f.feature = w.key
        WHERE w.value::double precision > 0
    ),
    ranking AS MATERIALIZED (
        SELECT w.feature, w.weight / (5 + n.rank) AS share, n.*
        FROM weight AS w CROSS JOIN LATERAL imrec_internal.nearest(
            likes, dislikes, w.feature, w.metric,
            CASE WHEN k BETWEEN 1 AND 50 THEN 200 WHEN k BETWEEN 51 AND 250000 THEN 4 * k ELSE k END, combine,
            exclude, pinned, among, method, roots
        ) AS n
    ),
    best AS MATERIALIZED (
        SELECT r.image_id, sum(r.share) AS fused FROM ranking AS r
        GROUP BY r.image_id ORDER BY sum(r.share) DESC, r.image_id LIMIT k
    ),
    compared AS MATERIALIZED (
        SELECT w.feature, n.image_id, n.distance
        FROM weight AS w CROSS JOIN LATERAL imrec_internal.nearest(
            likes, dislikes, w.feature, w.metric, k, combine, '{}', '{}',
            ARRAY(SELECT b.image_id FROM best AS b), 'exact', roots
        ) AS n
    ),
    explained AS (
        SELECT c.image_id,
            jsonb_object_agg(c.feature, jsonb_build_object('rank', r.rank, 'distance', c.distance)) AS features
        FROM compared AS c LEFT JOIN ranking AS r ON r.image_id = c.image_id AND r.feature = c.feature
        GROUP BY c.image_id
    )
    SELECT row_number() OVER (ORDER BY b.fused DESC, b.image_id), b.fused,
        (SELECT CASE WHEN bool_or(r.certainty = 'truncated') THEN 'truncated'
            WHEN bool_or(r.certainty = 'approximate') THEN 'approximate' ELSE 'exact' END FROM ranking AS r),
        b.image_id, e.features
    FROM best AS b INNER JOIN explained AS e ON e.image_id = b.image_id
    ORDER BY 1;
END;
$$;

COMMENT ON FUNCTION imrec_internal.fused(
    imrec.features[], imrec.features[], bigint, jsonb, text, uuid[], jsonb, uuid[], text, uuid[]
) IS 'One ranking from several features by reciprocal rank fusion; imrec.fuse shows it as photos.';
