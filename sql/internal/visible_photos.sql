-- The files of the roots whose photos a reader sees, for imrec.visible_photo.
CREATE OR REPLACE FUNCTION imrec_internal.visible_photos(reader name)
RETURNS TABLE (
    path text, image_id uuid, file_id uuid, root_id uuid, relative_path bytea, size bigint, width integer,
    height integer, format text, taken_at timestamp without time zone, camera_make text, camera_model text,
    truncated boolean, modified_at timestamp with time zone, missing_since timestamp with time zone
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET enable_mergejoin = off
SET enable_hashjoin = on
SET enable_nestloop = on
SET enable_indexscan = on
AS $$
DECLARE
    roots CONSTANT uuid[] := imrec_internal.reader_roots(reader);
BEGIN
    RETURN QUERY
    SELECT f.path, f.image_id, f.file_id, f.root_id, f.relative_path, i.size, i.width, i.height, i.format, i.taken_at,
        i.camera_make, i.camera_model, i.truncated, to_timestamp(f.mtime_ns / 1e9), m.since
    FROM imrec.file AS f
    INNER JOIN imrec.image AS i ON i.image_id = f.image_id
    LEFT JOIN imrec.missing AS m ON m.file_id = f.file_id
    WHERE f.root_id = ANY (roots);
END;
$$;

COMMENT ON FUNCTION imrec_internal.visible_photos(name) IS
'The files of the roots whose photos a reader sees; imrec.visible_photo shows them.';
