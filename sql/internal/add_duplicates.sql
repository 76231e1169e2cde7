-- Looks for near duplicates of images that were just stored, as the last search of the whole library did; does nothing
-- where there was none. NOTIFY imrec_duplicate says that there are new ones, but not which: whoever may connect can
-- listen. Returns how many pairs are new. Of very many with the same hash, one image is paired with 50 at most.
CREATE OR REPLACE FUNCTION imrec_internal.add_duplicates(image_ids uuid[])
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    searched record;
    new record;
    added bigint;
BEGIN
    SELECT s.strictness, s.crops INTO searched FROM imrec.duplicate_search AS s;
    IF NOT FOUND OR cardinality(image_ids) = 0 THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock('imrec.duplicate_member'::regclass::oid::bigint);
    CREATE TEMP TABLE duplicate_candidate (image_id uuid, other_id uuid) ON COMMIT DROP;
    FOR new IN
        SELECT h.feature, h.image_id, h.code, imrec_internal.detailed(d.difference_hash) AS detailed
        FROM imrec_internal.stored_hash AS h
        INNER JOIN imrec.difference_hash AS d ON d.image_id = h.image_id
        WHERE h.image_id = ANY (image_ids) AND h.feature <> 'average_hash'
    LOOP
        INSERT INTO pg_temp.duplicate_candidate (image_id, other_id)
        SELECT least(new.image_id, n.image_id), greatest(new.image_id, n.image_id)
        FROM imrec.hamming_within(new.code, CASE WHEN new.detailed THEN 3 ELSE 0 END, new.feature) AS n
        WHERE n.image_id <> new.image_id
        ORDER BY n.distance, n.image_id LIMIT 50;
    END LOOP;
    IF searched.crops THEN
        PERFORM imrec_internal.embedding_candidates(image_ids);
    END IF;
    added := imrec_internal.judge_duplicates(searched.strictness);
    DROP TABLE pg_temp.duplicate_candidate;
    IF added > 0 THEN
        PERFORM imrec_internal.group_duplicates(image_ids);
        PERFORM pg_notify('imrec_duplicate', '');
    END IF;
    RETURN added;
END;
$$;

COMMENT ON FUNCTION imrec_internal.add_duplicates(uuid[]) IS
'Looks for near duplicates of images that were just stored; returns how many pairs are new.';
