-- What can be compared, and how: the one place for the pairs of feature and metric. A feature is stored in
-- the table of its name, in the column of its name. The first of its metrics is the default; imrec.fuse ranks
-- by fused_metric and counts the feature by fused_weight unless told otherwise (measured: docs/quality.md).
CREATE OR REPLACE VIEW imrec.feature WITH (security_invoker = true) AS
SELECT
    f.feature,
    f.type,
    f.metrics,
    f.fused_metric,
    f.fused_weight
FROM (
    VALUES
    ('embedding', 'vector', '{cosine,euclidean,manhattan}'::text[], 'cosine', 3),
    ('histogram', 'vector', '{cosine,euclidean,manhattan}', 'manhattan', 2),
    ('average_hash', 'bit', '{hamming}', 'hamming', 1),
    ('difference_hash', 'bit', '{hamming}', 'hamming', 1),
    ('perceptual_hash', 'bit', '{hamming}', 'hamming', 0)
) AS f (feature, type, metrics, fused_metric, fused_weight);

COMMENT ON VIEW imrec.feature IS 'The features that can be compared, each with its metrics, the default first.';
