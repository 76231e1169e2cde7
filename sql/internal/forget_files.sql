-- Forgets up to so many files of a root, in the order of their ids, those after one, and images that no other
-- file holds. Returns how many of each, and the last id; NULL when none was left.
CREATE OR REPLACE FUNCTION imrec_internal.forget_files(
    root_id uuid, after uuid, most integer, OUT files bigint, OUT images bigint, OUT last uuid
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone uuid[];
    held uuid[];
BEGIN
    -- In key order, as ingest takes rows, so that the two wait for each other instead of deadlocking.
    SELECT array_agg(n.file_id ORDER BY n.file_id), array_agg(DISTINCT n.image_id) INTO gone, held
    FROM (
        SELECT f.file_id, f.image_id FROM imrec.file AS f
        WHERE f.root_id = forget_files.root_id AND f.file_id > forget_files.after
        ORDER BY f.file_id LIMIT forget_files.most FOR UPDATE OF f
    ) AS n;
    files := coalesce(cardinality(gone), 0);
    last := gone[files];
    images := imrec_internal.forget(gone, held);
END;
$$;

COMMENT ON FUNCTION imrec_internal.forget_files(uuid, uuid, integer) IS
'Forgets files of a root, so many at a time, and images that no other file holds.';
