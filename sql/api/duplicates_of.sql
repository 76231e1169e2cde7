-- What is near to a photo (a path or the id of an image), nearest first, with what people said of the two; in groups
-- or not. duplicates find looks for it beforehand.
CREATE OR REPLACE FUNCTION imrec.duplicates_of(photo text)
RETURNS TABLE (
    path text, image_id uuid, kind text, verdict text, difference_bits smallint, perceptual_bits smallint,
    embedding double precision, histogram double precision
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    query CONSTANT uuid := imrec_internal.image_at(photo);
BEGIN
    IF NOT has_table_privilege('imrec.file', 'SELECT') THEN
        RETURN QUERY
        SELECT f.path, f.image_id, p.kind, p.verdict, p.difference_bits, p.perceptual_bits, p.embedding, p.histogram
        FROM imrec_internal.visible_pairs(current_user) AS p
        INNER JOIN (
            SELECT v.image_id, (array_agg(v.path ORDER BY v.missing_since IS NOT NULL, v.path))[1] AS path
            FROM imrec.visible_photo AS v GROUP BY v.image_id
        ) AS f ON f.image_id = CASE query WHEN p.image_id THEN p.other_id WHEN p.other_id THEN p.image_id END
        ORDER BY p.difference_bits + p.perceptual_bits, p.embedding, f.path;
        RETURN;
    END IF;
    RETURN QUERY
    WITH near AS (
        SELECT p.other_id AS id, p.* FROM imrec.duplicate_pair AS p WHERE p.image_id = query
        UNION ALL
        SELECT p.image_id AS id, p.* FROM imrec.duplicate_pair AS p WHERE p.other_id = query
    ),
    said AS (
        SELECT v.other_id AS id, v.verdict FROM imrec.duplicate_verdict AS v WHERE v.image_id = query
        UNION ALL
        SELECT v.image_id, v.verdict FROM imrec.duplicate_verdict AS v WHERE v.other_id = query
    )
    SELECT f.path, f.image_id, n.kind, s.verdict, n.difference_bits, n.perceptual_bits, n.embedding, n.histogram
    FROM near AS n
    FULL JOIN said AS s ON s.id = n.id
    INNER JOIN imrec_internal.image_file AS f ON f.image_id = coalesce(n.id, s.id)
    ORDER BY n.difference_bits + n.perceptual_bits, n.embedding, f.path;
END;
$$;

COMMENT ON FUNCTION imrec.duplicates_of(text) IS
'What is near to a photo, nearest first, with what people said of the two.';
