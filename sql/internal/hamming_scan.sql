-- The k images whose hash differs least from the query, nearest first, then by image_id, by reading all.
CREATE OR REPLACE FUNCTION imrec_internal.hamming_scan(query bit(64), feature text, k bigint)
RETURNS TABLE (image_id uuid, distance integer)
-- UNSAFE keeps the calling query serial: only then may the scan in here be parallel.
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
-- A plan for any k takes k for a tenth of the table, and does not run in parallel.
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    sample CONSTANT bigint := 2000 + 10 * k;
    bound double precision;
BEGIN
    -- The k-th distance among some images is no less than among all. What lies beyond it need not be sorted,
    -- which halves the time.
    SELECT CASE WHEN count(*) = k THEN max(n.d) END INTO bound FROM (
        SELECT s.d FROM (
            SELECT imrec_internal.hash_distance(h.code, query) AS d FROM imrec_internal.stored_hash AS h
            WHERE h.feature = hamming_scan.feature LIMIT sample
        ) AS s
        ORDER BY s.d LIMIT k
    ) AS n;
    RETURN QUERY SELECT n.image_id, n.d::integer FROM (
        SELECT h.image_id, imrec_internal.hash_distance(h.code, query) AS d FROM imrec_internal.stored_hash AS h
        WHERE h.feature = hamming_scan.feature AND imrec_internal.hash_distance(h.code, query) <= coalesce(bound, 64)
        ORDER BY d, h.image_id LIMIT k
    ) AS n;
END;
$$;

COMMENT ON FUNCTION imrec_internal.hamming_scan(bit, text, bigint) IS
'The k images whose hash differs least from the query, by reading all; see hamming_search.';
