-- The roots whose photos a reader sees: all for one who may read the tables, else those of db grant --root. An
-- error for who has neither. Functions that run with the rights of the schema's owner call it first of all.
-- The current user is the owner there, so reader names the one before; it has to be one whom the session could
-- make its own by SET ROLE, so that to name another gives nothing.
--
-- Those functions also set how joins are made, whatever the session has set: a merge join may stop early, and how
-- many rows it read, which pg_stat_user_tables shows to everybody, would tell of rows that the reader does not see.
-- And client_min_messages: with debug_print_plan the caller would be sent plans, with estimates made of all photos.
CREATE OR REPLACE FUNCTION imrec_internal.reader_roots(reader name)
RETURNS uuid[]
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- PostgreSQL 15 has no roles that are members without SET.
    IF NOT pg_has_role(session_user, reader,
        CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END)
    THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('the user %I may not ask as %I', session_user, reader),
            HINT = 'A reader of some roots is answered as itself, or after SET ROLE; not in a SECURITY DEFINER '
                'function of its own that others call.';
    ELSIF has_table_privilege(reader, 'imrec.file', 'SELECT') THEN
        RETURN ARRAY(SELECT r.root_id FROM imrec.root AS r);
    -- Privileges are asked as well: a revocation takes them at once, also from a transaction whose snapshot is older.
    ELSIF NOT has_table_privilege(reader, 'imrec.visible_photo', 'SELECT')
        OR NOT EXISTS (SELECT FROM imrec_internal.access AS a WHERE pg_has_role(reader, a.role, 'USAGE'))
    THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('permission denied: %I may see no photos', reader),
            HINT = 'imrec-pg db grant reader gives the right to see them.';
    END IF;
    RETURN ARRAY(
        SELECT DISTINCT a.root_id FROM imrec_internal.access_root AS a WHERE pg_has_role(reader, a.role, 'USAGE')
    );
END;
$$;

COMMENT ON FUNCTION imrec_internal.reader_roots(name) IS
'The roots whose photos a reader sees; an error for who sees none.';
