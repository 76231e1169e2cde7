-- The ingests that are running: their lease has not ended by the database's clock, and those that hold a lock
-- hold it still. What another one claimed may be taken over.
CREATE OR REPLACE FUNCTION imrec_internal.live_workers()
RETURNS TABLE (worker_id uuid)
LANGUAGE sql VOLATILE PARALLEL UNSAFE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT w.worker_id
    FROM imrec.worker AS w
    WHERE w.expires_at > clock_timestamp() AND (
        NOT w.locked OR imrec_internal.worker_lock(w.worker_id) IN (
            SELECT (l.classid::bigint << 32) | l.objid::bigint
            FROM pg_catalog.pg_locks AS l
            INNER JOIN pg_catalog.pg_database AS d ON d.oid = l.database
            WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND d.datname = current_database()
        )
    )
$$;

COMMENT ON FUNCTION imrec_internal.live_workers() IS 'The ingests that are running now.';
