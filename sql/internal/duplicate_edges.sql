-- Which images may be in one group, in both directions, and how far apart they are: those of the pairs of a kind, and
-- for copies those that people said to be the same, also by way of others; but for those said to be different or
-- alternates. Only those of which a file is there. Of all images, or around some: themselves, what is near to them,
-- and what is in groups with that.
CREATE OR REPLACE FUNCTION imrec_internal.duplicate_edges(of_kind text, images uuid[])
RETURNS TABLE (image_id uuid, other_id uuid, distance double precision)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reached uuid[] := images;
BEGIN
    IF images IS NOT NULL THEN
        -- What is said to be the same reaches on and on; what is near, one step.
        reached := ARRAY(
            WITH RECURSIVE same (id) AS (
                SELECT unnest(images)
                UNION
                SELECT CASE v.image_id WHEN s.id THEN v.other_id ELSE v.image_id END
                FROM same AS s INNER JOIN imrec.duplicate_verdict AS v ON s.id IN (v.image_id, v.other_id)
                WHERE v.verdict = 'same'
            )
            SELECT s.id FROM same AS s
            UNION
            SELECT p.other_id FROM imrec.duplicate_pair AS p WHERE p.image_id = ANY (images)
            UNION
            SELECT p.image_id FROM imrec.duplicate_pair AS p WHERE p.other_id = ANY (images)
        );
        reached := ARRAY(
            SELECT r.id FROM unnest(reached) AS r (id)
            UNION
            SELECT o.image_id FROM imrec.duplicate_member AS m
            INNER JOIN imrec.duplicate_member AS o ON o.group_id = m.group_id AND o.kind = m.kind
            WHERE m.image_id = ANY (reached) AND m.kind = of_kind
        );
    END IF;
    RETURN QUERY
    WITH RECURSIVE said AS (
        SELECT v.image_id AS a, v.other_id AS b FROM imrec.duplicate_verdict AS v WHERE v.verdict = 'same'
        UNION ALL
        SELECT v.other_id, v.image_id FROM imrec.duplicate_verdict AS v WHERE v.verdict = 'same'
    ),
    same (a, b) AS (
        SELECT s.a, s.b FROM said AS s
        UNION
        SELECT t.a, s.b FROM same AS t INNER JOIN said AS s ON s.a = t.b
    ),
    edge AS (
        SELECT p.image_id AS a, p.other_id AS b,
            coalesce(p.difference_bits + p.perceptual_bits, 128) + coalesce(p.embedding, 2) AS distance
        FROM imrec.duplicate_pair AS p
        WHERE CASE of_kind WHEN 'burst' THEN p.kind = 'burst' ELSE p.kind <> 'burst' END
        UNION ALL
        SELECT s.a, s.b, 0 FROM same AS s WHERE s.a < s.b AND of_kind = 'copy'
    ),
    allowed AS (
        SELECT e.a, e.b, min(e.distance) AS distance FROM edge AS e
        LEFT JOIN imrec.duplicate_verdict AS v
            ON v.image_id = e.a AND v.other_id = e.b AND v.verdict <> 'same'
        WHERE v.image_id IS NULL AND (reached IS NULL OR e.a = ANY (reached) AND e.b = ANY (reached))
        GROUP BY e.a, e.b
    )
    SELECT n.a, n.b, n.distance FROM (
        SELECT w.a, w.b, w.distance FROM allowed AS w
        UNION ALL
        SELECT w.b, w.a, w.distance FROM allowed AS w
    ) AS n
    WHERE EXISTS (
        SELECT FROM imrec.file AS f
        LEFT JOIN imrec.missing AS x ON x.file_id = f.file_id
        WHERE f.image_id = n.a AND x.file_id IS NULL
    ) AND EXISTS (
        SELECT FROM imrec.file AS f
        LEFT JOIN imrec.missing AS x ON x.file_id = f.file_id
        WHERE f.image_id = n.b AND x.file_id IS NULL
    );
END;
$$;

COMMENT ON FUNCTION imrec_internal.duplicate_edges(text, uuid[]) IS
'Which images may be in one group of duplicates, in both directions: of all, or around some images.';
