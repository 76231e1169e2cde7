-- The k images most like the likes and least like the dislikes, neither of which is in the answer. strategy =
-- average, the default, ranks by one query that stands for all (imrec.mean_query): an index answers it.
-- best_score ranks by the nearest like, and puts what is nearer to a dislike last: for tastes of several
-- kinds.
CREATE FUNCTION imrec.recommend(
    positive uuid[], negative uuid[] DEFAULT '{}', k integer DEFAULT 5, feature text DEFAULT 'embedding',
    metric text DEFAULT NULL, strategy text DEFAULT 'average', filter jsonb DEFAULT '{}',
    among uuid[] DEFAULT NULL, method text DEFAULT 'auto'
)
RETURNS TABLE (rank bigint, image_id uuid, distance double precision, path text, copies bigint, answer text)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 10
AS $$
    WITH n AS MATERIALIZED (
        SELECT * FROM imrec.nearest(
            imrec.stored_features(recommend.positive), imrec.stored_features(recommend.negative),
            recommend.feature, recommend.metric, recommend.k, imrec.combination(recommend.strategy),
            recommend.positive || recommend.negative, recommend.filter, recommend.among, recommend.method
        )
    )
    SELECT n.rank, n.image_id, n.distance, p.path, p.copies, n.answer
    FROM n INNER JOIN imrec.places(ARRAY(SELECT n.image_id FROM n)) AS p ON p.image_id = n.image_id
    ORDER BY n.rank
$$;

COMMENT ON FUNCTION imrec.recommend IS
'The k images most like the first and least like the second, by stored images; average or best_score.';
