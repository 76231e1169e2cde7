-- Forgets up to so many files of a root, in the order of their ids, those after one, and images that no
-- other file holds, with their features. Returns how many of each, and the last id; NULL when none was left.
CREATE FUNCTION imrec.forget_files(
    root_id uuid, after uuid, most integer, OUT files bigint, OUT images bigint, OUT last uuid
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    gone uuid[];
    held uuid[];
BEGIN
    -- In key order, as ingest takes rows, so that the two wait for each other instead of deadlocking.
    SELECT array_agg(n.location_id ORDER BY n.location_id), array_agg(DISTINCT n.image_id) INTO gone, held
    FROM (
        SELECT l.location_id, l.image_id FROM imrec.location AS l
        WHERE l.root_id = forget_files.root_id AND l.location_id > forget_files.after
        ORDER BY l.location_id LIMIT forget_files.most FOR UPDATE OF l
    ) AS n;
    files := coalesce(cardinality(gone), 0);
    last := gone[files];
    DELETE FROM imrec.location WHERE location_id = ANY (gone) AND image_id = ANY (held);
    DELETE FROM imrec.missing WHERE location_id = ANY (gone);
    DELETE FROM imrec.image AS i WHERE i.image_id = ANY (held) AND NOT EXISTS (
        SELECT FROM imrec.location AS l WHERE l.image_id = i.image_id
    );
    GET DIAGNOSTICS images = ROW_COUNT;
END;
$$;

COMMENT ON FUNCTION imrec.forget_files IS
'Forgets files of a root, so many at a time, and images that no other file holds.';
