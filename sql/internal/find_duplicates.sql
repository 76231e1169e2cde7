-- Looks for near duplicates in the whole library; returns how many pairs there are, and how many groups. Pairs of an
-- earlier search are forgotten; verdicts are not. crops: also among the nearest by embedding of each image. Call it in
-- a transaction: until it ends, nothing changes for others.
CREATE OR REPLACE FUNCTION imrec_internal.find_duplicates(
    strictness text, crops boolean, OUT pairs bigint, OUT groups bigint
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('imrec.duplicate_member'::regclass::oid::bigint);
    CREATE TEMP TABLE duplicate_candidate (image_id uuid, other_id uuid) ON COMMIT DROP;
    PERFORM imrec_internal.hash_candidates('difference_hash');
    PERFORM imrec_internal.hash_candidates('perceptual_hash');
    PERFORM imrec_internal.twin_candidates();
    IF crops THEN
        PERFORM imrec_internal.embedding_candidates(ARRAY(SELECT e.image_id FROM imrec.embedding AS e));
    END IF;
    DELETE FROM imrec.duplicate_pair;
    PERFORM imrec_internal.judge_duplicates(strictness);
    DROP TABLE pg_temp.duplicate_candidate;
    PERFORM imrec_internal.group_duplicates(NULL);
    INSERT INTO imrec.duplicate_search AS s (search_id, strictness, crops, found_at)
    VALUES (1, find_duplicates.strictness, find_duplicates.crops, clock_timestamp())
    ON CONFLICT (search_id) DO UPDATE
        SET strictness = excluded.strictness, crops = excluded.crops, found_at = excluded.found_at;
    SELECT count(*) INTO pairs FROM imrec.duplicate_pair;
    SELECT count(DISTINCT (m.group_id, m.kind)) INTO groups FROM imrec.duplicate_member AS m;
END;
$$;

COMMENT ON FUNCTION imrec_internal.find_duplicates(text, boolean) IS
'Looks for near duplicates in the whole library; returns how many pairs and groups there are.';
