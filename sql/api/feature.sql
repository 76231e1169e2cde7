-- What can be compared, and how: the one place for the pairs of feature and metric. A feature is stored in
-- the table of its name, in the column of its name. The first of its metrics is the default; imrec.fuse ranks
-- by fused_metric and, unless told otherwise, counts the feature by evidence_weight, or by fused_weight in a fusion
-- by reciprocal rank (measured: docs/quality.md). evidence_slope is what a distance of 1 costs, in decibans, where
-- the feature is the first of those fused, by fused_place.
CREATE OR REPLACE VIEW imrec.feature WITH (security_invoker = true) AS
SELECT
    f.feature,
    f.type,
    f.metrics,
    f.fused_metric,
    f.fused_weight,
    f.evidence_weight,
    f.evidence_slope,
    f.fused_place
FROM (
    VALUES
    ('embedding', 'vector', '{cosine,euclidean,manhattan}'::text[], 'cosine', 3, 1, 130, 1),
    ('histogram', 'vector', '{cosine,euclidean,manhattan}', 'manhattan', 2, 1, 40, 2),
    ('average_hash', 'bit', '{hamming}', 'hamming', 1, 1, 2, 3),
    ('difference_hash', 'bit', '{hamming}', 'hamming', 1, 1, 2, 4),
    ('perceptual_hash', 'bit', '{hamming}', 'hamming', 0, 0, 2, 5)
) AS f (feature, type, metrics, fused_metric, fused_weight, evidence_weight, evidence_slope, fused_place);

COMMENT ON VIEW imrec.feature IS 'The features that can be compared, each with its metrics, the default first.';
