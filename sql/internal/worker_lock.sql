-- The advisory lock that a session of a running ingest holds: it is free the moment the ingest dies, long
-- before its lease ends.
CREATE OR REPLACE FUNCTION imrec_internal.worker_lock(worker_id uuid)
RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN pg_catalog.hashtextextended('imrec.worker ' || worker_lock.worker_id, 0);

COMMENT ON FUNCTION imrec_internal.worker_lock(uuid) IS 'The number of the advisory lock that a running ingest holds.';
