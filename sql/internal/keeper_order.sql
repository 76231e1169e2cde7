-- These images, all of which are alike, the one first that is best kept.
CREATE OR REPLACE FUNCTION imrec_internal.keeper_order(image_ids uuid[])
RETURNS TABLE (image_id uuid, place bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT r.image_id, row_number() OVER (
        ORDER BY imrec_internal.keeper_key(
            r.of_camera, r.format, r.pixels, r.bytes, r.most_pixels, r.most_bytes, r.mtime_ns
        ), r.image_id
    ) AS place
    FROM (
        SELECT k.*, max(k.pixels) OVER () AS most_pixels, max(k.bytes) OVER () AS most_bytes, f.mtime_ns
        FROM imrec_internal.keeper_rank AS k
        LEFT JOIN (
            SELECT o.image_id, min(o.mtime_ns) AS mtime_ns FROM imrec.file AS o
            WHERE o.image_id = ANY (image_ids) GROUP BY o.image_id
        ) AS f ON f.image_id = k.image_id
        WHERE k.image_id = ANY (image_ids)
    ) AS r;
END;
$$;

COMMENT ON FUNCTION imrec_internal.keeper_order(uuid[]) IS 'Images that are alike, the one first that is best kept.';
