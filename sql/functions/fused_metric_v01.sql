-- The metric by which imrec.fuse ranks by a feature: measured, see docs/quality.md.
CREATE FUNCTION imrec.fused_metric(feature text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE fused_metric.feature WHEN 'embedding' THEN 'cosine' WHEN 'histogram' THEN 'manhattan' END
$$;

COMMENT ON FUNCTION imrec.fused_metric IS
'The metric by which imrec.fuse ranks by a feature, NULL for its default.';
