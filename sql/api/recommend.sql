-- The k photos most like the likes and least like the dislikes, by their features, so that they need not be
-- stored; those in exclude are left out of the answer. combine = mean, the default, ranks by one query that
-- stands for all likes and dislikes, which an index answers; min by the distance to the nearest like, and puts
-- what is nearer to a dislike last: for tastes of several kinds.
CREATE OR REPLACE FUNCTION imrec.recommend(
    likes imrec.features[], dislikes imrec.features[], k bigint DEFAULT 5, feature text DEFAULT 'embedding',
    metric text DEFAULT NULL, combine text DEFAULT 'mean', exclude uuid[] DEFAULT '{}',
    filter jsonb DEFAULT '{}', among uuid[] DEFAULT NULL, method text DEFAULT 'auto'
)
RETURNS TABLE (
    rank bigint, distance double precision, path text, copies bigint, certainty text, image_id uuid, file_id uuid
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT has_table_privilege('imrec.file', 'SELECT') THEN
        RETURN QUERY SELECT * FROM imrec_internal.visible_recommend(
            current_user, likes, dislikes, k, feature, metric, combine, exclude, filter, among, method
        );
        RETURN;
    END IF;
    RETURN QUERY
    WITH n AS MATERIALIZED (
        SELECT * FROM imrec_internal.nearest(
            likes, dislikes, feature, metric, k, combine, exclude, filter, among, method
        )
    )
    SELECT n.rank, n.distance, f.path, f.copies, n.certainty, n.image_id, f.file_id
    FROM n INNER JOIN imrec_internal.image_file AS f ON f.image_id = n.image_id
    WHERE f.image_id = ANY (ARRAY(SELECT n.image_id FROM n))
    ORDER BY n.rank;
END;
$$;

COMMENT ON FUNCTION imrec.recommend(
    imrec.features[], imrec.features[], bigint, text, text, text, uuid[], jsonb, uuid[], text
) IS 'The k photos most like the first features and least like the second, such as imrec-pg embed prints them.';

-- The same for stored images, none of which is in the answer.
CREATE OR REPLACE FUNCTION imrec.recommend(
    likes uuid[], dislikes uuid[] DEFAULT '{}', k bigint DEFAULT 5, feature text DEFAULT 'embedding',
    metric text DEFAULT NULL, combine text DEFAULT 'mean', filter jsonb DEFAULT '{}',
    among uuid[] DEFAULT NULL, method text DEFAULT 'auto'
)
RETURNS TABLE (
    rank bigint, distance double precision, path text, copies bigint, certainty text, image_id uuid, file_id uuid
)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 10
BEGIN ATOMIC
    SELECT * FROM imrec.recommend(
        imrec_internal.stored_features(recommend.likes), imrec_internal.stored_features(recommend.dislikes),
        recommend.k, recommend.feature, recommend.metric, recommend.combine,
        recommend.likes || recommend.dislikes, recommend.filter, recommend.among, recommend.method
    );
END;

COMMENT ON FUNCTION imrec.recommend(uuid[], uuid[], bigint, text, text, text, jsonb, uuid[], text) IS
'The k photos most like the first stored images and least like the second.';
