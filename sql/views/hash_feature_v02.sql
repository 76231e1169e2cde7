-- The two hashes of each image, one to a row. Once the feature is given the planner reads that column alone,
-- by its own indexes. It reads with the caller's rights, as imrec.photo does.
CREATE OR REPLACE VIEW imrec.hash_feature WITH (security_invoker = true) AS
SELECT
    'ahash' AS feature,
    image_id,
    average_hash AS code
FROM imrec.hash
UNION ALL
SELECT
    'dhash' AS feature,
    image_id,
    difference_hash AS code
FROM imrec.hash;

COMMENT ON VIEW imrec.hash_feature IS 'The hashes of each image, one to a row: feature is ahash or dhash.';
