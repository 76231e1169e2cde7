-- The roots whose photos a reader sees, and where each lies on hosts, for imrec.visible_root.
CREATE OR REPLACE FUNCTION imrec_internal.visible_roots(reader name)
RETURNS TABLE (root_id uuid, name text, raw_path bytea, hosts text[], folders bytea[])
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER ROWS 10
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
    SELECT r.root_id, r.name, r.raw_path,
        ARRAY(SELECT m.host FROM imrec.mount AS m WHERE m.root_id = r.root_id ORDER BY m.host),
        ARRAY(SELECT m.raw_path FROM imrec.mount AS m WHERE m.root_id = r.root_id ORDER BY m.host)
    FROM imrec.root AS r WHERE r.root_id = ANY (roots);
END;
$$;

COMMENT ON FUNCTION imrec_internal.visible_roots(name) IS
'The roots whose photos a reader sees; imrec.visible_root shows them.';
