-- The k photos most like the likes and least like the dislikes, by several features at once (imrec_internal.fused).
-- features tells of each feature the rank, NULL for those behind, the distance and the evidence. weights such as
-- {"embedding": 2, "histogram": 1}; by default those of imrec.feature. fusion is evidence or reciprocal_rank.
CREATE OR REPLACE FUNCTION imrec.fuse(
    likes imrec.features[], dislikes imrec.features[], k bigint DEFAULT 5, weights jsonb DEFAULT NULL,
    combine text DEFAULT 'mean', exclude uuid[] DEFAULT '{}', filter jsonb DEFAULT '{}',
    among uuid[] DEFAULT NULL, method text DEFAULT 'auto',
    fusion text DEFAULT 'evidence'
)
RETURNS TABLE (
    rank bigint, fused double precision, path text, copies bigint, certainty text, image_id uuid, file_id uuid,
    features jsonb
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT has_table_privilege('imrec.file', 'SELECT') THEN
        RETURN QUERY SELECT * FROM imrec_internal.visible_fuse(
            current_user, likes, dislikes, k, weights, combine, exclude, filter, among, method, fusion
        );
        RETURN;
    END IF;
    RETURN QUERY
    WITH n AS MATERIALIZED (
        SELECT * FROM imrec_internal.fused(
            likes, dislikes, k, weights, combine, exclude, filter, among, method, NULL, fusion
        )
    )
    SELECT n.rank, n.fused, f.path, f.copies, n.certainty, n.image_id, f.file_id, n.features
    FROM n INNER JOIN imrec_internal.image_file AS f ON f.image_id = n.image_id
    WHERE f.image_id = ANY (ARRAY(SELECT n.image_id FROM n))
    ORDER BY n.rank;
END;
$$;

COMMENT ON FUNCTION imrec.fuse(
    imrec.features[], imrec.features[], bigint, jsonb, text, uuid[], jsonb, uuid[], text, text
) IS 'The k photos most like the first features and least like the second, by several features at once, and why.';

-- The same for stored images, none of which is in the answer.
CREATE OR REPLACE FUNCTION imrec.fuse(
    likes uuid[], dislikes uuid[] DEFAULT '{}', k bigint DEFAULT 5, weights jsonb DEFAULT NULL,
    combine text DEFAULT 'mean', filter jsonb DEFAULT '{}', among uuid[] DEFAULT NULL, method text DEFAULT 'auto',
    fusion text DEFAULT 'evidence'
)
RETURNS TABLE (
    rank bigint, fused double precision, path text, copies bigint, certainty text, image_id uuid, file_id uuid,
    features jsonb
)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 10
BEGIN ATOMIC
    SELECT * FROM imrec.fuse(
        imrec_internal.stored_features(fuse.likes), imrec_internal.stored_features(fuse.dislikes), fuse.k,
        fuse.weights, fuse.combine, fuse.likes || fuse.dislikes, fuse.filter, fuse.among, fuse.method,
        fuse.fusion
    );
END;

COMMENT ON FUNCTION imrec.fuse(uuid[], uuid[], bigint, jsonb, text, jsonb, uuid[], text, text) IS
'The k photos most like the first stored images and least like the second, by several features, and why.';

-- The same for one stored photo, by path or id.
CREATE OR REPLACE FUNCTION imrec.fuse(
    photo text, k bigint DEFAULT 5, weights jsonb DEFAULT NULL, filter jsonb DEFAULT '{}',
    among uuid[] DEFAULT NULL, method text DEFAULT 'auto',
    fusion text DEFAULT 'evidence'
)
RETURNS TABLE (
    rank bigint, fused double precision, path text, copies bigint, certainty text, image_id uuid, file_id uuid,
    features jsonb
)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 10
BEGIN ATOMIC
    SELECT * FROM imrec.fuse(ARRAY[imrec_internal.image_at($1)], '{}', $2, $3, 'mean', $4, $5, $6, $7);
END;

COMMENT ON FUNCTION imrec.fuse(text, bigint, jsonb, jsonb, uuid[], text, text) IS
'The k photos most like a stored one (a path or the id of an image), by several features at once, and why.';
