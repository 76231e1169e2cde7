-- Claims files for an ingest: those that nobody works on, and those of an ingest that is dead. The others do
-- not come back. The token belongs to this claim alone: who was thought dead and is not has an older one,
-- and imrec.fence_stage() drops what it writes.
CREATE FUNCTION imrec.claim(worker_id uuid, location_ids uuid[], root_ids uuid[])
RETURNS TABLE (location_id uuid, token bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 100
AS $$
#variable_conflict use_column
DECLARE
    -- Grows with each transaction, and a call is one.
    mine CONSTANT bigint := pg_current_xact_id()::text::bigint;
BEGIN
    -- In key order, as all do, so that two of them wait for each other instead of deadlocking.
    RETURN QUERY
    INSERT INTO imrec.claim AS c (location_id, root_id, worker_id, token)
    SELECT f.location_id, f.root_id, claim.worker_id, mine
    FROM unnest(location_ids, root_ids) AS f (location_id, root_id) ORDER BY f.location_id
    ON CONFLICT (location_id) DO NOTHING
    RETURNING c.location_id, c.token;
    -- One's own come here when the answer to the same question was lost on its way.
    RETURN QUERY
    WITH dead AS MATERIALIZED (
        SELECT c.location_id FROM imrec.claim AS c
        WHERE c.location_id = ANY (location_ids) AND c.token <> mine
            AND (
                c.worker_id = claim.worker_id
                OR c.worker_id NOT IN (SELECT w.worker_id FROM imrec.live_workers() AS w)
            )
        ORDER BY c.location_id FOR UPDATE OF c SKIP LOCKED
    )
    UPDATE imrec.claim AS c SET worker_id = claim.worker_id, token = mine
    FROM dead WHERE c.location_id = dead.location_id
    RETURNING c.location_id, c.token;
END;
$$;

COMMENT ON FUNCTION imrec.claim IS
'Claims files for an ingest; returns those that nobody else works on, each with its token.';
