-- Where images lie: the first place by name, as text and as the file system spells it, and how many files
-- hold it.
CREATE FUNCTION imrec.places(image_ids uuid[])
RETURNS TABLE (image_id uuid, path text, raw_path bytea, copies bigint, width integer, height integer)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
AS $$
    SELECT i.image_id, p.path, rtrim(p.root_path, '/'::bytea) || '/'::bytea || p.relative_path, p.copies,
        i.width, i.height
    FROM (
        SELECT l.image_id, min(l.path) AS path, count(*) AS copies,
            (array_agg(r.raw_path ORDER BY l.path))[1] AS root_path,
            (array_agg(l.relative_path ORDER BY l.path))[1] AS relative_path
        FROM imrec.location AS l INNER JOIN imrec.root AS r ON r.root_id = l.root_id
        WHERE l.image_id = ANY (places.image_ids) GROUP BY l.image_id
    ) AS p
    INNER JOIN imrec.image AS i ON i.image_id = p.image_id
$$;

COMMENT ON FUNCTION imrec.places IS
'Where images lie: the first place by name, and how many files hold the image.';
