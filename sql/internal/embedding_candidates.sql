-- Adds the ten nearest of these images by embedding to pg_temp.duplicate_candidate: crops and mirrored copies have
-- other hashes.
CREATE OR REPLACE FUNCTION imrec_internal.embedding_candidates(image_ids uuid[])
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one uuid;
BEGIN
    FOR one IN SELECT e.image_id FROM imrec.embedding AS e WHERE e.image_id = ANY (image_ids) LOOP
        INSERT INTO pg_temp.duplicate_candidate (image_id, other_id)
        SELECT least(one, n.image_id), greatest(one, n.image_id)
        FROM imrec_internal.nearest(
            ARRAY(SELECT s.features FROM imrec_internal.image_features AS s WHERE s.image_id = one), '{}',
            'embedding', 'cosine', 10, 'mean', ARRAY[one], '{}', NULL, 'auto'
        ) AS n;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION imrec_internal.embedding_candidates(uuid[]) IS
'Adds the ten nearest by embedding to the candidates of a search for duplicates.';
