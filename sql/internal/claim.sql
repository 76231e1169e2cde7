-- Claims files for an ingest: those that nobody works on, and those of an ingest that is dead. The others do
-- not come back. The token belongs to this claim alone: who was thought dead and is not has an older one,
-- and imrec_internal.merge_stage() drops what it writes.
CREATE OR REPLACE FUNCTION imrec_internal.claim(worker_id uuid, file_ids uuid[], root_ids uuid[])
RETURNS TABLE (file_id uuid, token bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- Grows with each transaction, and a call is one.
    mine CONSTANT bigint := pg_current_xact_id()::text::bigint;
BEGIN
    -- In key order, as all do, so that two of them wait for each other instead of deadlocking.
    RETURN QUERY
    INSERT INTO imrec.claim AS c (file_id, root_id, worker_id, token)
    SELECT f.file_id, f.root_id, claim.worker_id, mine
    FROM unnest(file_ids, root_ids) AS f (file_id, root_id) ORDER BY f.file_id
    ON CONFLICT (file_id) DO NOTHING
    RETURNING c.file_id, c.token;
    -- One's own come here when the answer to the same question was lost on its way.
    RETURN QUERY
    WITH dead AS MATERIALIZED (
        SELECT c.file_id FROM imrec.claim AS c
        WHERE c.file_id = ANY (file_ids) AND c.token <> mine
            AND (
                c.worker_id = claim.worker_id
                OR c.worker_id NOT IN (SELECT w.worker_id FROM imrec_internal.live_workers() AS w)
            )
        ORDER BY c.file_id FOR UPDATE OF c SKIP LOCKED
    )
    UPDATE imrec.claim AS c SET worker_id = claim.worker_id, token = mine
    FROM dead WHERE c.file_id = dead.file_id
    RETURNING c.file_id, c.token;
END;
$$;

COMMENT ON FUNCTION imrec_internal.claim(uuid, uuid[], uuid[]) IS
'Claims files for an ingest; returns those that nobody else works on, each with its token.';
