-- Which features are stored of each image, one to a row, and by which version of the extraction they were
-- computed. Once the feature is given, the planner reads that table alone. metadata is what EXIF says: it is
-- always stored, but may be outdated.
CREATE OR REPLACE VIEW imrec_internal.stored_feature WITH (security_invoker = true) AS
SELECT
    'metadata' AS feature,
    image_id,
    version
FROM imrec.image
UNION ALL
SELECT
    'embedding' AS feature,
    image_id,
    version
FROM imrec.embedding
UNION ALL
SELECT
    'histogram' AS feature,
    image_id,
    version
FROM imrec.histogram
UNION ALL
SELECT
    feature,
    image_id,
    version
FROM imrec_internal.stored_hash;

COMMENT ON VIEW imrec_internal.stored_feature IS 'Which features are stored of each image, by which version.';
