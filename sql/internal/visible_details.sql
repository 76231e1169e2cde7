-- What is shown beside a ranking of the files that hold these images, of those that a reader of some roots sees: where
-- each lies on this host, how large its picture is, and whether it is missing.
CREATE OR REPLACE FUNCTION imrec_internal.visible_details(reader name, image_ids uuid[])
RETURNS TABLE (
    file_id uuid, relative_path bytea, folder bytea, width integer, height integer, missing boolean
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET enable_mergejoin = off
SET enable_hashjoin = on
SET enable_nestloop = on
SET enable_indexscan = on
SET enable_seqscan = off
AS $$
DECLARE
    roots CONSTANT uuid[] := imrec_internal.reader_roots(reader);
BEGIN
    RETURN QUERY
    SELECT f.file_id, f.relative_path, coalesce(m.raw_path, o.raw_path), i.width, i.height, x.file_id IS NOT NULL
    FROM (SELECT DISTINCT a.id FROM unnest(image_ids) AS a (id)) AS n
    CROSS JOIN unnest(roots) AS r (id)
    -- As in imrec_internal.visible_files: no file of another root is looked at.
    INNER JOIN imrec.file AS f ON (f.root_id, f.image_id) >= (r.id, n.id) AND (f.root_id, f.image_id) <= (r.id, n.id)
    INNER JOIN imrec.image AS i ON i.image_id = f.image_id
    INNER JOIN imrec.root AS o ON o.root_id = f.root_id
    LEFT JOIN imrec.mount AS m ON m.root_id = f.root_id AND m.host = current_setting('imrec.host', true)
    LEFT JOIN imrec.missing AS x ON x.file_id = f.file_id;
END;
$$;

COMMENT ON FUNCTION imrec_internal.visible_details(name, uuid[]) IS
'What is shown beside a ranking of the files that hold these images and that a reader of some roots sees.';
