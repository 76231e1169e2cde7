-- For each image, in order, which of the wanted features are not stored yet, or with refresh are outdated: an
-- empty array when the image is complete, NULL when the image itself is unknown.
CREATE OR REPLACE FUNCTION imrec_internal.lacking_features(
    image_ids uuid[], wanted text[], versions integer[], refresh boolean
)
RETURNS TABLE (lacking text[])
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH stored AS MATERIALIZED (
        SELECT
            s.image_id,
            s.feature,
            s.version
        FROM imrec_internal.stored_feature AS s
        WHERE s.image_id = any(lacking_features.image_ids)
    )

    SELECT
        CASE
            WHEN image.image_id IS NOT NULL THEN array(
                SELECT w.feature
                FROM unnest(lacking_features.wanted, lacking_features.versions) AS w (feature, version)
                WHERE w.feature NOT IN (
                    SELECT s.feature FROM stored AS s
                    WHERE s.image_id = asked.image_id AND (NOT lacking_features.refresh OR s.version >= w.version)
                )
            )
        END AS lacking
    FROM unnest(lacking_features.image_ids) WITH ORDINALITY AS asked (image_id, place)
    LEFT JOIN imrec.image ON asked.image_id = image.image_id
    ORDER BY asked.place;
END;

COMMENT ON FUNCTION imrec_internal.lacking_features(uuid[], text[], integer[], boolean) IS
'Which of the wanted features each image lacks, in order; NULL: unknown image.';
