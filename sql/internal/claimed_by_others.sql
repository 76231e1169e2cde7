-- How many files other running ingests work on below these roots, of those claimed no later than a token, and
-- who that is. Without a token all that are claimed by now; the token to ask on with comes back.
CREATE OR REPLACE FUNCTION imrec_internal.claimed_by_others(worker_id uuid, root_ids uuid[], latest bigint)
RETURNS TABLE (files bigint, workers text, token bigint)
LANGUAGE sql VOLATILE PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*), string_agg(DISTINCT format('%s (process %s)', w.host, w.pid), ', '),
        coalesce(claimed_by_others.latest, pg_current_xact_id()::text::bigint)
    FROM imrec.claim AS c
    INNER JOIN imrec.worker AS w ON w.worker_id = c.worker_id
    WHERE c.worker_id <> claimed_by_others.worker_id AND c.root_id = ANY (claimed_by_others.root_ids)
        AND (claimed_by_others.latest IS NULL OR c.token <= claimed_by_others.latest)
        AND c.worker_id IN (SELECT l.worker_id FROM imrec_internal.live_workers() AS l)
$$;

COMMENT ON FUNCTION imrec_internal.claimed_by_others(uuid, uuid[], bigint) IS
'How many files other running ingests work on, and who that is.';
