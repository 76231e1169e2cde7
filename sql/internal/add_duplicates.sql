-- Looks for near duplicates of images that were just stored, as the last search of the whole library did; does nothing
-- where there was none. NOTIFY imrec_duplicate says that there are new ones, but not which: whoever may connect can
-- listen. Of images with the same hashes, an image is compared with 20, keepers first: those that are alike one of
-- very many are alike the one that stands for them. Returns how many pairs are new.
CREATE OR REPLACE FUNCTION imrec_internal.add_duplicates(image_ids uuid[])
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    searched record;
    most imrec_internal.duplicate_limit;
    new record;
    added bigint;
BEGIN
    PERFORM pg_advisory_xact_lock('imrec.duplicate_member'::regclass::oid::bigint);
    SELECT s.strictness, s.crops INTO searched FROM imrec.duplicate_search AS s;
    IF NOT FOUND OR cardinality(image_ids) = 0 THEN
        RETURN 0;
    END IF;
    most := imrec_internal.limit_of(searched.strictness);
    CREATE TEMP TABLE duplicate_candidate (image_id uuid, other_id uuid) ON COMMIT DROP;
    FOR new IN
        SELECT d.image_id, d.difference_hash, p.perceptual_hash, imrec_internal.detailed(d.difference_hash) AS detailed
        FROM imrec.difference_hash AS d
        INNER JOIN imrec.perceptual_hash AS p ON p.image_id = d.image_id
        WHERE d.image_id = ANY (image_ids)
    LOOP
        INSERT INTO pg_temp.duplicate_candidate (image_id, other_id)
        SELECT least(new.image_id, m.image_id), greatest(new.image_id, m.image_id)
        FROM (
            SELECT n.image_id, row_number() OVER (
                PARTITION BY d.difference_hash, p.perceptual_hash ORDER BY k.keeper DESC NULLS LAST, n.image_id
            ) AS place
            FROM (
                SELECT h.image_id FROM imrec.hamming_within(
                    new.difference_hash,
                    CASE WHEN new.detailed THEN greatest(most.difference_bits, most.near_bits) ELSE 0 END, 'difference_hash'
                ) AS h
                UNION
                SELECT h.image_id FROM imrec.hamming_within(
                    new.perceptual_hash, CASE WHEN new.detailed THEN most.near_bits ELSE 0 END, 'perceptual_hash'
                ) AS h
            ) AS n
            INNER JOIN imrec.difference_hash AS d ON d.image_id = n.image_id
            INNER JOIN imrec.perceptual_hash AS p ON p.image_id = n.image_id
            LEFT JOIN imrec.duplicate_member AS k ON k.image_id = n.image_id AND k.kind = 'copy'
            WHERE n.image_id <> new.image_id AND imrec_internal.hashes_agree(
                bit_count(d.difference_hash # new.difference_hash), bit_count(p.perceptual_hash # new.perceptual_hash), most
            ) AND (new.detailed OR (d.difference_hash, p.perceptual_hash) = (new.difference_hash, new.perceptual_hash))
        ) AS m
        WHERE m.place <= 20;
    END LOOP;
    IF searched.crops THEN
        PERFORM imrec_internal.embedding_candidates(image_ids);
    END IF;
    PERFORM imrec_internal.judge_duplicates(searched.strictness);
    added := imrec_internal.store_duplicates();
    INSERT INTO imrec.duplicate_seen (image_id)
    SELECT i.image_id FROM imrec.image AS i WHERE i.image_id = ANY (image_ids)
    ON CONFLICT (image_id) DO NOTHING;
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
