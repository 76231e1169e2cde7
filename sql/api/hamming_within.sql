-- All images whose hash differs from the query in at most so many bits, in no particular order; exact.
-- feature is the name of a hash. No rows when an argument is NULL.
CREATE OR REPLACE FUNCTION imrec.hamming_within(query bit(64), bits integer, feature text DEFAULT 'average_hash')
RETURNS TABLE (image_id uuid, distance integer)
-- UNSAFE keeps the calling query serial: only then may the scan in here be parallel.
LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    near record;
BEGIN
    IF NOT has_table_privilege('imrec.file', 'SELECT') THEN
        RETURN QUERY SELECT * FROM imrec_internal.visible_hashes(current_user, query, feature, bits);
        RETURN;
    END IF;
    near := imrec_internal.hamming_near(query, feature, ARRAY[least(bits, 64)], NULL);
    IF near.complete THEN
        RETURN QUERY SELECT DISTINCT n.image_id, n.distance
        FROM unnest(near.image_ids, near.distances) AS n (image_id, distance);
    ELSE
        RETURN QUERY SELECT h.image_id, imrec_internal.hash_distance(h.code, query)::integer
        FROM imrec_internal.stored_hash AS h
        WHERE h.feature = hamming_within.feature AND imrec_internal.hash_distance(h.code, query) <= bits;
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec.hamming_within(bit, integer, text) IS
'All images whose hash differs from the query in at most so many bits, in no order.';
