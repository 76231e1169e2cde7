-- For each image, in order, which of the wanted features (embedding, histogram, hash) are not stored yet:
-- an empty array when the image is complete, NULL when the image itself is unknown.
CREATE FUNCTION imrec.missing_features(image_ids uuid[], wanted text[])
RETURNS TABLE (missing text[])
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        CASE
            WHEN image.image_id IS NULL THEN NULL
            ELSE
                array_remove(ARRAY[
                    CASE
                        WHEN 'embedding' = any(missing_features.wanted) AND embedding.image_id IS NULL
                            THEN 'embedding'
                    END,
                    CASE
                        WHEN 'histogram' = any(missing_features.wanted) AND histogram.image_id IS NULL
                            THEN 'histogram'
                    END,
                    CASE
                        WHEN 'hash' = any(missing_features.wanted) AND hash.image_id IS NULL
                            THEN 'hash'
                    END
                ], NULL)
        END AS missing
    FROM unnest(missing_features.image_ids) WITH ORDINALITY AS asked (image_id, place)
    LEFT JOIN imrec.image ON asked.image_id = image.image_id
    LEFT JOIN imrec.embedding ON asked.image_id = embedding.image_id
    LEFT JOIN imrec.histogram ON asked.image_id = histogram.image_id
    LEFT JOIN imrec.hash ON asked.image_id = hash.image_id
    ORDER BY asked.place;
END;

COMMENT ON FUNCTION imrec.missing_features IS
'Which of the wanted features (embedding, histogram, hash) each image lacks, in order; NULL: unknown image.';
