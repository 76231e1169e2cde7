-- Says that an ingest lives, for as long as its lease. A new one also clears away those that died long ago:
-- what they claimed was taken over, or the file is gone.
CREATE OR REPLACE FUNCTION imrec_internal.renew(worker_id uuid, host text, pid integer, lease interval, locked boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE imrec.worker AS w SET expires_at = clock_timestamp() + renew.lease, locked = renew.locked
    WHERE w.worker_id = renew.worker_id;
    IF FOUND THEN
        RETURN;
    END IF;
    DELETE FROM imrec.worker AS w WHERE w.worker_id IN (
        SELECT d.worker_id FROM imrec.worker AS d
        WHERE d.expires_at < clock_timestamp() - interval '1 day' FOR UPDATE SKIP LOCKED
    );
    INSERT INTO imrec.worker (worker_id, host, pid, locked, expires_at)
    VALUES (renew.worker_id, renew.host, renew.pid, renew.locked, clock_timestamp() + renew.lease)
    ON CONFLICT DO NOTHING;
END;
$$;

COMMENT ON FUNCTION imrec_internal.renew(uuid, text, integer, interval, boolean) IS
'Says that an ingest lives, for as long as its lease.';
