-- All features of each image as one value; those that an image lacks are NULL.
CREATE OR REPLACE VIEW imrec_internal.image_features WITH (security_invoker = true) AS
SELECT
    image.image_id,
    row(
        embedding.embedding,
        histogram.histogram,
        average_hash.average_hash,
        difference_hash.difference_hash,
        perceptual_hash.perceptual_hash
    )::imrec.features AS features
FROM imrec.image
LEFT JOIN imrec.embedding ON image.image_id = embedding.image_id
LEFT JOIN imrec.histogram ON image.image_id = histogram.image_id
LEFT JOIN imrec.average_hash ON image.image_id = average_hash.image_id
LEFT JOIN imrec.difference_hash ON image.image_id = difference_hash.image_id
LEFT JOIN imrec.perceptual_hash ON image.image_id = perceptual_hash.image_id;

COMMENT ON VIEW imrec_internal.image_features IS 'All features of each image as one value.';
