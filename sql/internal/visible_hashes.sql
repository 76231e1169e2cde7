-- The images that a reader of some roots sees whose hash differs from the query in at most so many bits.
CREATE OR REPLACE FUNCTION imrec_internal.visible_hashes(reader name, query bit(64), feature text, bits integer)
RETURNS TABLE (image_id uuid, distance integer)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET enable_mergejoin = off
SET enable_hashjoin = on
SET enable_nestloop = on
SET enable_indexscan = on
AS $$
DECLARE
    roots CONSTANT uuid[] := imrec_internal.reader_roots(reader);
    -- Listed first, as in imrec_internal.search_plan: whether a join goes on, hidden photos would decide.
    seen CONSTANT uuid[] := ARRAY(SELECT f.image_id FROM imrec.file AS f WHERE f.root_id = ANY (roots));
BEGIN
    RETURN QUERY
    SELECT h.image_id, imrec_internal.hash_distance(h.code, query)::integer
    FROM imrec_internal.stored_hash AS h
    WHERE h.feature = visible_hashes.feature AND imrec_internal.hash_distance(h.code, query) <= bits
        AND h.image_id = ANY (seen);
END;
$$;

COMMENT ON FUNCTION imrec_internal.visible_hashes(name, bit, text, integer) IS
'The images that a reader of some roots sees whose hash differs from the query in at most so many bits.';
