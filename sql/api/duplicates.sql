-- Groups of duplicates, one row a photo: exact (files with the same bytes, one row a file), copy (near copies) and
-- burst. The keeper comes first; the others say how far they are from it, NULL where that is not known: people said
-- that they are the same. Missing files are left out; the next ingest makes a group anew of which the keeper went.
CREATE OR REPLACE FUNCTION imrec.duplicates(of_kind text DEFAULT NULL)
RETURNS TABLE (
    group_id uuid, kind text, keeper boolean, path text, image_id uuid, file_id uuid, copies bigint, size bigint,
    width integer, height integer, format text, pair_kind text, difference_bits smallint, perceptual_bits smallint,
    embedding double precision, histogram double precision
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF of_kind NOT IN ('exact', 'copy', 'burst') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there are no duplicates of the kind %L', of_kind),
            HINT = 'Choose exact, copy or burst; NULL is all of them.';
    END IF;
    IF NOT has_table_privilege('imrec.file', 'SELECT') THEN
        RETURN QUERY SELECT * FROM imrec_internal.visible_duplicates(current_user, of_kind);
        RETURN;
    END IF;
    RETURN QUERY
    SELECT s.image_id, 'exact', f.file_id = s.file_id, f.path, s.image_id, f.file_id, 1::bigint, i.size,
        i.width, i.height, i.format, NULL::text, 0::smallint, 0::smallint, 0::double precision, 0::double precision
    FROM imrec_internal.image_file AS s
    INNER JOIN imrec.image AS i ON i.image_id = s.image_id
    INNER JOIN (
        SELECT o.image_id, o.file_id, o.path, count(*) OVER (PARTITION BY o.image_id) AS copies FROM imrec.file AS o
        LEFT JOIN imrec.missing AS x ON x.file_id = o.file_id
        WHERE x.file_id IS NULL
    ) AS f ON f.image_id = s.image_id
    WHERE f.copies > 1 AND coalesce(of_kind, 'exact') = 'exact'
    ORDER BY s.image_id, f.file_id <> s.file_id, f.path;
    RETURN QUERY
    WITH present AS MATERIALIZED (
        SELECT m.group_id, m.kind, m.image_id, m.keeper, k.image_id AS keeper_id
        FROM imrec.duplicate_member AS m
        INNER JOIN imrec.duplicate_member AS k ON k.group_id = m.group_id AND k.kind = m.kind AND k.keeper
        WHERE m.kind = coalesce(of_kind, m.kind) AND EXISTS (
            SELECT FROM imrec.file AS f
            LEFT JOIN imrec.missing AS x ON x.file_id = f.file_id
            WHERE f.image_id = m.image_id AND x.file_id IS NULL
        )
    ),
    whole AS (SELECT p.group_id, p.kind FROM present AS p GROUP BY p.group_id, p.kind HAVING count(*) > 1)
    SELECT p.group_id, p.kind, p.keeper, s.path, p.image_id, s.file_id, s.copies, i.size, i.width, i.height, i.format,
        d.kind, d.difference_bits, d.perceptual_bits, d.embedding, d.histogram
    FROM present AS p
    INNER JOIN whole AS w ON w.group_id = p.group_id AND w.kind = p.kind
    INNER JOIN imrec.image AS i ON i.image_id = p.image_id
    INNER JOIN imrec_internal.image_file AS s ON s.image_id = p.image_id
    LEFT JOIN imrec.duplicate_pair AS d
        ON d.image_id = least(p.image_id, p.keeper_id) AND d.other_id = greatest(p.image_id, p.keeper_id)
    ORDER BY p.kind DESC, p.group_id, p.keeper DESC, s.path;
END;
$$;

COMMENT ON FUNCTION imrec.duplicates(text) IS
'Groups of duplicates, one row a photo, the one to keep first: exact, copy, burst, or all.';
