-- The k images whose hash differs least from the query, nearest first, then by image_id; exact. Those in
-- exclude are left out. feature is ahash or dhash. No rows when an argument is NULL.
CREATE FUNCTION imrec.hamming_search(
    query bit(64), k integer, feature text DEFAULT 'ahash', exclude uuid[] DEFAULT '{}'
)
RETURNS TABLE (image_id uuid, distance integer)
-- UNSAFE keeps the calling query serial: only then may the scan in here be parallel.
LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE ROWS 10
AS $$
DECLARE
    -- Left out at the end, which is cheaper than to look at each row; a NULL would leave out everything.
    others CONSTANT uuid[] := array_remove(exclude, NULL);
    wanted CONSTANT bigint := k::bigint + cardinality(others);
    same uuid[];
    near record;
BEGIN
    PERFORM imrec.hamming_check(query, feature);
    same := imrec.hamming_equal(query, feature, wanted);
    IF cardinality(same) = wanted THEN
        RETURN QUERY SELECT n.image_id, 0 FROM unnest(same) AS n (image_id)
        WHERE n.image_id <> ALL (others) ORDER BY 1 LIMIT k;
        RETURN;
    END IF;
    near := imrec.hamming_near(query, feature, '{3,7,11}', wanted);
    IF near.complete THEN
        RETURN QUERY SELECT DISTINCT n.image_id, n.distance
        FROM unnest(near.image_ids, near.distances) AS n (image_id, distance)
        WHERE n.image_id <> ALL (others) ORDER BY 2, 1 LIMIT k;
    ELSE
        RETURN QUERY SELECT n.image_id, n.distance FROM imrec.hamming_scan(query, feature, wanted) AS n
        WHERE n.image_id <> ALL (others) ORDER BY 2, 1 LIMIT k;
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec.hamming_search IS
'The k images whose hash (ahash or dhash) differs least from the query, nearest first, ties by image_id; '
'those in exclude are left out.';
