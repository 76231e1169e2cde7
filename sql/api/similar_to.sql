-- The k photos most like a stored one, nearest first, itself left out; photo is a path or the id of an image.
-- feature and metric: SELECT * FROM imrec.feature. among: only these images. method: auto, exact or
-- approximate (by an index, which may end short: certainty is then truncated).
CREATE OR REPLACE FUNCTION imrec.similar_to(
    photo text, k bigint DEFAULT 5, feature text DEFAULT 'embedding', metric text DEFAULT NULL,
    filter jsonb DEFAULT '{}', among uuid[] DEFAULT NULL, method text DEFAULT 'auto'
)
RETURNS TABLE (
    rank bigint, distance double precision, path text, copies bigint, certainty text, image_id uuid, file_id uuid
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    query CONSTANT uuid := imrec_internal.image_at(photo);
BEGIN
    IF NOT has_table_privilege('imrec.file', 'SELECT') THEN
        RETURN QUERY SELECT * FROM imrec_internal.visible_recommend(
            current_user, imrec_internal.stored_features(ARRAY[query]), '{}', k, feature, metric, 'mean',
            ARRAY[query], filter, among, method
        );
        RETURN;
    END IF;
    RETURN QUERY
    WITH n AS MATERIALIZED (
        SELECT * FROM imrec_internal.nearest(
            ARRAY(SELECT s.features FROM imrec_internal.image_features AS s WHERE s.image_id = query), '{}',
            feature, metric, k, 'mean', ARRAY[query], filter, among, method
        )
    )
    SELECT n.rank, n.distance, f.path, f.copies, n.certainty, n.image_id, f.file_id
    FROM n INNER JOIN imrec_internal.image_file AS f ON f.image_id = n.image_id
    WHERE f.image_id = ANY (ARRAY(SELECT n.image_id FROM n))
    ORDER BY n.rank;
END;
$$;

COMMENT ON FUNCTION imrec.similar_to(text, bigint, text, text, jsonb, uuid[], text) IS
'The k photos most like a stored one (a path or the id of an image), nearest first, itself left out.';

CREATE OR REPLACE FUNCTION imrec.similar_to(
    photo uuid, k bigint DEFAULT 5, feature text DEFAULT 'embedding', metric text DEFAULT NULL,
    filter jsonb DEFAULT '{}', among uuid[] DEFAULT NULL, method text DEFAULT 'auto'
)
RETURNS TABLE (
    rank bigint, distance double precision, path text, copies bigint, certainty text, image_id uuid, file_id uuid
)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 10
BEGIN ATOMIC
    SELECT * FROM imrec.similar_to($1::text, $2, $3, $4, $5, $6, $7);
END;

COMMENT ON FUNCTION imrec.similar_to(uuid, bigint, text, text, jsonb, uuid[], text) IS
'The k photos most like a stored image, nearest first, itself left out.';
