-- The k images whose hash differs least from the query, nearest first, then by image_id; exact. Those in
-- exclude are left out. feature is the name of a hash. No rows when an argument is NULL.
CREATE OR REPLACE FUNCTION imrec.hamming_search(
    query bit(64), k integer, feature text DEFAULT 'average_hash', exclude uuid[] DEFAULT '{}'
)
RETURNS TABLE (image_id uuid, distance integer)
-- UNSAFE keeps the calling query serial: only then may the scan in here be parallel.
LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
-- Planned once a session, which takes 0.5 ms.
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    -- Left out at the end, which is cheaper than to look at each row; a NULL would leave out everything.
    others CONSTANT uuid[] := array_remove(exclude, NULL);
    wanted CONSTANT bigint := k::bigint + cardinality(others);
    same uuid[];
    near record;
BEGIN
    IF NOT has_table_privilege('imrec.file', 'SELECT') THEN
        RETURN QUERY SELECT n.image_id, n.distance
        FROM imrec_internal.visible_hashes(current_user, query, feature, 64) AS n
        WHERE n.image_id <> ALL (others) ORDER BY 2, 1 LIMIT k;
        RETURN;
    END IF;
    -- Those with exactly this hash. However many share it, only so many are read: behind the chunk the index
    -- holds the whole hash, then the image_id.
    same := ARRAY(
        SELECT h.image_id FROM imrec_internal.stored_hash AS h
        WHERE h.feature = hamming_search.feature
            AND imrec_internal.hash_chunk(h.code, 0) = imrec_internal.hash_chunk(query, 0) AND h.code = query
        ORDER BY h.image_id LIMIT wanted
    );
    IF cardinality(same) = wanted THEN
        RETURN QUERY SELECT n.image_id, 0 FROM unnest(same) AS n (image_id)
        WHERE n.image_id <> ALL (others) ORDER BY 1 LIMIT k;
        RETURN;
    END IF;
    near := imrec_internal.hamming_near(query, feature, '{3,7,11}', wanted);
    IF near.complete THEN
        RETURN QUERY SELECT DISTINCT n.image_id, n.distance
        FROM unnest(near.image_ids, near.distances) AS n (image_id, distance)
        WHERE n.image_id <> ALL (others) ORDER BY 2, 1 LIMIT k;
    ELSE
        RETURN QUERY SELECT n.image_id, n.distance FROM imrec_internal.hamming_scan(query, feature, wanted) AS n
        WHERE n.image_id <> ALL (others) ORDER BY 2, 1 LIMIT k;
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec.hamming_search(bit, integer, text, uuid[]) IS
'The k images whose hash differs least from the query, nearest first, ties by image_id; exact. '
'Those in exclude are left out.';
