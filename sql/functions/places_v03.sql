-- Where images lie: the first place by name, of those that are still there if there are any, as text and as
-- the file system spells it; how many files hold the image; and whether all of them are missing.
-- Given a host, raw_path is where the file lies there, and roots that were said to lie there come first; path
-- stays the canonical one, which is the same for everybody.
CREATE FUNCTION imrec.places(image_ids uuid[], host text DEFAULT NULL)
RETURNS TABLE (
    image_id uuid, path text, raw_path bytea, copies bigint, width integer, height integer, missing boolean
)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
AS $$
    SELECT i.image_id, p.paths[1], rtrim(p.root_paths[1], '/'::bytea) || '/'::bytea || p.relative_paths[1],
        p.copies, i.width, i.height, p.missing
    FROM (
        SELECT l.image_id, count(*) AS copies, bool_and(m.location_id IS NOT NULL) AS missing,
            array_agg(l.path ORDER BY m.location_id IS NOT NULL, h.root_id IS NULL, l.path) AS paths,
            array_agg(coalesce(h.raw_path, r.raw_path)
                ORDER BY m.location_id IS NOT NULL, h.root_id IS NULL, l.path) AS root_paths,
            array_agg(l.relative_path
                ORDER BY m.location_id IS NOT NULL, h.root_id IS NULL, l.path) AS relative_paths
        FROM imrec.location AS l
        INNER JOIN imrec.root AS r ON r.root_id = l.root_id
        LEFT JOIN imrec.mount AS h ON h.root_id = l.root_id AND h.host = places.host
        LEFT JOIN imrec.missing AS m ON m.location_id = l.location_id
        WHERE l.image_id = ANY (places.image_ids) GROUP BY l.image_id
    ) AS p
    INNER JOIN imrec.image AS i ON i.image_id = p.image_id
$$;

COMMENT ON FUNCTION imrec.places IS
'Where images lie: the first place by name that is still there, and how many files hold the image.';
