-- Which features are stored of each image, one to a row, and by which version of the extraction they were
-- computed; code is a hash, NULL for vectors. Once the feature is given, the planner reads that table alone,
-- and for codes its indexes on chunks. metadata is what EXIF says: it is always stored, but may be outdated.
CREATE OR REPLACE VIEW imrec_internal.stored_feature WITH (security_invoker = true) AS
SELECT
    'metadata' AS feature,
    image_id,
    version,
    null::bit(64) AS code
FROM imrec.image
UNION ALL
SELECT
    'embedding' AS feature,
    image_id,
    version,
    null::bit(64) AS code
FROM imrec.embedding
UNION ALL
SELECT
    'histogram' AS feature,
    image_id,
    version,
    null::bit(64) AS code
FROM imrec.histogram
UNION ALL
SELECT
    'average_hash' AS feature,
    image_id,
    version,
    average_hash AS code
FROM imrec.average_hash
UNION ALL
SELECT
    'difference_hash' AS feature,
    image_id,
    version,
    difference_hash AS code
FROM imrec.difference_hash
UNION ALL
SELECT
    'perceptual_hash' AS feature,
    image_id,
    version,
    perceptual_hash AS code
FROM imrec.perceptual_hash;

COMMENT ON VIEW imrec_internal.stored_feature IS 'Which features are stored of each image, by which version.';
