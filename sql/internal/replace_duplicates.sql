-- Ends a search of the whole library: puts what it found (pg_temp.duplicate_found) in the place of what an earlier one
-- did; verdicts stay. Only from here on it is in the way of others. Images that came while it went on
-- (pg_temp.duplicate_stage lacks them) are in imrec_internal.unsearched afterwards. Returns how many pairs and groups
-- there are.
CREATE OR REPLACE FUNCTION imrec_internal.replace_duplicates(
    strictness text, crops boolean, OUT pairs bigint, OUT groups bigint
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('imrec.duplicate_member'::regclass::oid::bigint);
    DELETE FROM imrec.duplicate_pair;
    DELETE FROM imrec.duplicate_seen;
    INSERT INTO imrec.duplicate_seen (image_id)
    SELECT s.image_id FROM pg_temp.duplicate_stage AS s
    INNER JOIN imrec.image AS i ON i.image_id = s.image_id -- not pruned since
    FOR KEY SHARE OF i;
    pairs := imrec_internal.store_duplicates();
    PERFORM imrec_internal.group_duplicates(NULL);
    INSERT INTO imrec.duplicate_search AS s (search_id, strictness, crops, found_at)
    VALUES (1, replace_duplicates.strictness, replace_duplicates.crops, clock_timestamp())
    ON CONFLICT (search_id) DO UPDATE
        SET strictness = excluded.strictness, crops = excluded.crops, found_at = excluded.found_at;
    DROP TABLE pg_temp.duplicate_stage, pg_temp.duplicate_class, pg_temp.duplicate_candidate, pg_temp.duplicate_near;
    SELECT count(DISTINCT (m.group_id, m.kind)) INTO groups FROM imrec.duplicate_member AS m;
END;
$$;

COMMENT ON FUNCTION imrec_internal.replace_duplicates(text, boolean) IS
'Puts what a search of the whole library found in the place of an earlier one; returns how many pairs and groups.';
