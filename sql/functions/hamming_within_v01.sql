-- All images whose hash differs from the query in at most so many bits, in no particular order; exact.
-- feature is ahash or dhash. No rows when an argument is NULL.
CREATE FUNCTION imrec.hamming_within(query bit(64), bits integer, feature text DEFAULT 'ahash')
RETURNS TABLE (image_id uuid, distance integer)
-- UNSAFE keeps the calling query serial: only then may the scan in here be parallel.
LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE ROWS 100
AS $$
DECLARE
    near record;
BEGIN
    PERFORM imrec.hamming_check(query, feature);
    near := imrec.hamming_near(query, feature, ARRAY[least(bits, 64)], NULL);
    IF near.complete THEN
        RETURN QUERY SELECT DISTINCT n.image_id, n.distance
        FROM unnest(near.image_ids, near.distances) AS n (image_id, distance);
    ELSE
        RETURN QUERY SELECT h.image_id, imrec.hash_distance(h.code, query)::integer
        FROM imrec.hash_feature AS h
        WHERE h.feature = hamming_within.feature AND imrec.hash_distance(h.code, query) <= bits;
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec.hamming_within IS
'All images whose hash (ahash or dhash) differs from the query in at most so many bits, in no order.';
