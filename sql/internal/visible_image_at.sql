-- The image that a path or an id names among the photos that a reader of some roots sees; NULL when there is none.
-- A path is turned into the id that its file would have in each of these roots, so that files of other roots are
-- not looked at (see imrec_internal.visible_files). Paths with escapes (\xff) are not what the file system says:
-- for these all files of the roots are read.
CREATE OR REPLACE FUNCTION imrec_internal.visible_image_at(reader name, photo text)
RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
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
    raw CONSTANT bytea := convert_to(photo, 'UTF8');
    found uuid;
BEGIN
    SELECT f.image_id INTO found
    FROM (
        SELECT a.root_id, encode(substr(sha256(uuid_send(a.root_id) || substr(raw, length(a.folder) + 1)), 1, 16), 'hex')::uuid AS file_id
        FROM (
            SELECT r.root_id, rtrim(r.raw_path, '/'::bytea) || '/'::bytea AS folder
            FROM imrec.root AS r WHERE r.root_id = ANY (roots)
        ) AS a
        WHERE substr(raw, 1, length(a.folder)) = a.folder
    ) AS n
    INNER JOIN imrec.file AS f ON f.file_id = n.file_id
    ORDER BY f.file_id LIMIT 1;
    IF found IS NULL AND strpos(photo, '\') > 0 THEN
        -- OFFSET keeps the index on paths, which knows those of all roots, out of it.
        SELECT n.image_id INTO found FROM (
            SELECT f.image_id, f.file_id, f.path FROM imrec.file AS f WHERE f.root_id = ANY (roots) OFFSET 0
        ) AS n WHERE n.path = photo ORDER BY n.file_id LIMIT 1;
    END IF;
    IF found IS NULL AND photo ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        SELECT f.image_id INTO found FROM imrec_internal.visible_files(roots, ARRAY[photo::uuid]) AS f;
    END IF;
    RETURN found;
END;
$$;

COMMENT ON FUNCTION imrec_internal.visible_image_at(name, text) IS
'The image that a path or an id names among the photos that a reader of some roots sees.';
