-- The hashes, one to a row; code is the hash. Once the feature is given, the planner reads that table alone, and
-- its indexes on chunks. Apart from stored_feature: each table more would be planned at each search.
CREATE OR REPLACE VIEW imrec_internal.stored_hash WITH (security_invoker = true) AS
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

COMMENT ON VIEW imrec_internal.stored_hash IS 'The hashes of all images, one to a row.';
