-- One ranking from several features by reciprocal rank fusion (Cormack, Clarke and Buettcher 2009,
-- doi:10.1145/1571941.1572114): the image that is number r by a feature gets that feature's weight / (5 + r);
-- the authors' constant is 60, docs/quality.md says why not here. Each feature ranks the first 200 images, or
-- 4 k of them; rank is NULL for those behind, the distance is there.
CREATE FUNCTION imrec.fuse_features(
    positive imrec.features[], negative imrec.features[], weights jsonb, k bigint, combine text,
    exclude uuid[], filter jsonb, among uuid[], method text
)
RETURNS TABLE (
    rank bigint, image_id uuid, fused double precision, path text, copies bigint,
    embedding_rank bigint, embedding_distance double precision,
    histogram_rank bigint, histogram_distance double precision,
    ahash_rank bigint, ahash_distance double precision,
    dhash_rank bigint, dhash_distance double precision, answer text
)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 10
AS $$
    WITH weight AS MATERIALIZED (
        SELECT w.key AS feature, w.value::double precision AS weight
        FROM jsonb_each_text(imrec.check_weights(fuse_features.weights)) AS w
    ),
    ranking AS MATERIALIZED (
        SELECT w.feature, w.weight / (5 + n.rank) AS share, n.*
        FROM weight AS w CROSS JOIN LATERAL imrec.nearest(
            fuse_features.positive, fuse_features.negative, w.feature, imrec.fused_metric(w.feature),
            greatest(200, 4 * fuse_features.k), fuse_features.combine, fuse_features.exclude,
            fuse_features.filter, fuse_features.among, fuse_features.method
        ) AS n
    ),
    best AS MATERIALIZED (
        SELECT r.image_id, sum(r.share) AS fused FROM ranking AS r
        GROUP BY r.image_id ORDER BY sum(r.share) DESC, r.image_id LIMIT fuse_features.k
    ),
    compared AS MATERIALIZED (
        SELECT w.feature, n.image_id, n.distance
        FROM weight AS w CROSS JOIN LATERAL imrec.nearest(
            fuse_features.positive, fuse_features.negative, w.feature, imrec.fused_metric(w.feature),
            fuse_features.k, fuse_features.combine, '{}', '{}', ARRAY(SELECT b.image_id FROM best AS b), 'exact'
        ) AS n
    ),
    explained AS (
        SELECT c.image_id, jsonb_object_agg(c.feature, c.distance) AS distances,
            jsonb_object_agg(c.feature, r.rank) AS ranks
        FROM compared AS c LEFT JOIN ranking AS r ON r.image_id = c.image_id AND r.feature = c.feature
        GROUP BY c.image_id
    )
    SELECT row_number() OVER (ORDER BY b.fused DESC, b.image_id), b.image_id, b.fused, p.path, p.copies,
        (e.ranks -> 'embedding')::bigint, (e.distances -> 'embedding')::double precision,
        (e.ranks -> 'histogram')::bigint, (e.distances -> 'histogram')::double precision,
        (e.ranks -> 'ahash')::bigint, (e.distances -> 'ahash')::double precision,
        (e.ranks -> 'dhash')::bigint, (e.distances -> 'dhash')::double precision,
        (SELECT CASE WHEN bool_or(r.answer = 'truncated') THEN 'truncated'
            WHEN bool_or(r.answer = 'approximate') THEN 'approximate' ELSE 'exact' END FROM ranking AS r)
    FROM best AS b
    INNER JOIN explained AS e ON e.image_id = b.image_id
    INNER JOIN imrec.places(ARRAY(SELECT b.image_id FROM best AS b)) AS p ON p.image_id = b.image_id
    ORDER BY 1
$$;

COMMENT ON FUNCTION imrec.fuse_features IS
'One ranking from several features by reciprocal rank fusion; imrec.fuse is simpler.';
