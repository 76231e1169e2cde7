-- These images, the one first that is best kept: more pixels, then a camera raw, HEIC, a lossless format, a date from
-- the camera, more bytes, stored earlier.
CREATE OR REPLACE FUNCTION imrec_internal.keeper_order(image_ids uuid[])
RETURNS TABLE (image_id uuid, place bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT i.image_id, row_number() OVER (
        ORDER BY i.width::bigint * i.height DESC, imrec_internal.is_raw(i.format) DESC, i.format = 'HEIF' DESC,
            i.format IN ('TIFF', 'PNG', 'BMP') DESC, i.taken_at IS NULL, i.size DESC, i.created_at, i.image_id
    ) AS place
    FROM imrec.image AS i
    WHERE i.image_id = ANY (image_ids);
END;
$$;

COMMENT ON FUNCTION imrec_internal.keeper_order(uuid[]) IS 'Images, the one first that is best kept.';
