-- One ranking from several features. Each ranks the first 200 images, or 4 k of them; by evidence, a hash ranks those
-- within 11 bits alone, since what differs by more says little. Then fused is, by fusion,
-- - evidence: the sum of weight * (evidence - 3 decibans, where it is more), which says how much more likely such
--   distances are between an altered copy and its original than between unrelated photos; less what the distance by
--   the first of the features costs, which decides where no evidence speaks (docs/adr/0026).
-- - reciprocal_rank: the sum of weight / (5 + rank) (Cormack, Clarke and Buettcher 2009,
--   doi:10.1145/1571941.1572114); the authors' constant is 60, docs/quality.md says why not here.
-- features tells of each feature the rank, NULL for those behind, the distance, and the evidence, if it counted.
--
-- A part of imrec.fuse, which shows the files; roots as in imrec_internal.nearest.
CREATE OR REPLACE FUNCTION imrec_internal.fused(
    likes imrec.features[], dislikes imrec.features[], k bigint, weights jsonb, combine text, exclude uuid[],
    filter jsonb, among uuid[], method text, roots uuid[], fusion text
)
RETURNS TABLE (rank bigint, fused double precision, certainty text, image_id uuid, features jsonb)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    by_evidence CONSTANT boolean := fusion = 'evidence';
    -- All features are to be ranked among the same photos.
    pinned CONSTANT jsonb := CASE
        WHEN filter ?| '{cluster,in_box}' AND NOT filter ? 'by_feature' THEN filter || '{"by_feature": "embedding"}'
        ELSE filter END;
    -- Evidence needs all distances of what may be among the first k, of which the rankings know some.
    most CONSTANT bigint := CASE WHEN by_evidence AND k BETWEEN 1 AND 250000 THEN 2 * k + 20 ELSE greatest(k, 0) END;
BEGIN
    RETURN QUERY
    WITH weight AS MATERIALIZED (SELECT * FROM imrec_internal.fused_weight(weights, fusion, roots IS NOT NULL)),
    ranking AS MATERIALIZED (
        SELECT w.feature, n.*, CASE WHEN by_evidence
            THEN w.weight * greatest(imrec_internal.evidence_at(n.distance, w.distances, w.evidence) - 3, 0)
            ELSE w.weight / (5 + n.rank) END AS share
        FROM weight AS w CROSS JOIN LATERAL imrec_internal.nearest(
            likes, dislikes, w.feature, w.metric,
            CASE WHEN k BETWEEN 1 AND 50 THEN 200 WHEN k BETWEEN 51 AND 250000 THEN 4 * k ELSE k END, combine,
            exclude, pinned, among, method, roots, by_evidence
        ) AS n
    ),
    -- What it did not rank, or cannot, lies as far as the last that it did.
    decider AS MATERIALIZED (
        SELECT w.feature, CASE WHEN by_evidence THEN w.weight * w.slope END AS cost, max(r.distance) AS farthest
        FROM weight AS w INNER JOIN ranking AS r ON r.feature = w.feature
        GROUP BY w.feature, w.place, w.weight, w.slope ORDER BY w.place LIMIT 1
    ),
    candidate AS MATERIALIZED (
        SELECT r.image_id, sum(r.share) - coalesce(d.cost * coalesce(
            max(r.distance) FILTER (WHERE r.feature = d.feature), d.farthest
        ), 0) AS fused
        FROM ranking AS r CROSS JOIN decider AS d
        GROUP BY r.image_id, d.cost, d.farthest ORDER BY 2 DESC, r.image_id LIMIT most
    ),
    compared AS MATERIALIZED (
        SELECT w.feature, w.weight, n.image_id, n.distance, CASE WHEN by_evidence
            THEN imrec_internal.evidence_at(n.distance, w.distances, w.evidence) END AS evidence
        FROM weight AS w CROSS JOIN LATERAL imrec_internal.nearest(
            likes, dislikes, w.feature, w.metric, most, combine, '{}', '{}',
            ARRAY(SELECT c.image_id FROM candidate AS c), 'exact', roots
        ) AS n
    ),
    explained AS (
        SELECT c.image_id, CASE WHEN by_evidence
            THEN coalesce(sum(c.weight * greatest(c.evidence - 3, 0)), 0) - d.cost * coalesce(
                max(c.distance) FILTER (WHERE c.feature = d.feature), d.farthest
            ) ELSE sum(r.share) END AS fused,
            jsonb_object_agg(c.feature, jsonb_build_object('rank', r.rank, 'distance', c.distance) || CASE
                WHEN by_evidence THEN jsonb_build_object('evidence', c.evidence) ELSE '{}' END) AS features
        FROM compared AS c CROSS JOIN decider AS d
        LEFT JOIN ranking AS r ON r.image_id = c.image_id AND r.feature = c.feature
        GROUP BY c.image_id, d.cost, d.farthest
    )
    SELECT row_number() OVER (ORDER BY e.fused DESC, e.image_id), e.fused,
        (SELECT CASE WHEN bool_or(r.certainty = 'truncated') THEN 'truncated'
            WHEN bool_or(r.certainty = 'approximate') THEN 'approximate' ELSE 'exact' END FROM ranking AS r),
        e.image_id, e.features
    FROM explained AS e
    ORDER BY 1 LIMIT k;
END;
$$;

COMMENT ON FUNCTION imrec_internal.fused(
    imrec.features[], imrec.features[], bigint, jsonb, text, uuid[], jsonb, uuid[], text, uuid[], text
) IS 'One ranking from several features, by evidence or by reciprocal rank; imrec.fuse shows it as photos.';
