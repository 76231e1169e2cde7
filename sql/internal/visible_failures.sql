-- The failures in the roots whose photos a reader sees, for imrec.visible_failure.
CREATE OR REPLACE FUNCTION imrec_internal.visible_failures(reader name)
RETURNS SETOF imrec.failure
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
    RETURN QUERY SELECT f.* FROM imrec.failure AS f WHERE f.root_id = ANY (roots);
END;
$$;

COMMENT ON FUNCTION imrec_internal.visible_failures(name) IS
'The failures in the roots whose photos a reader sees; imrec.visible_failure shows them.';
