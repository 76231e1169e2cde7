-- What tells which of several images is best kept, for imrec_internal.keeper_key.
CREATE OR REPLACE VIEW imrec_internal.keeper_rank WITH (security_invoker = true) AS
SELECT
    i.image_id,
    i.format,
    i.width::bigint * i.height AS pixels,
    CASE WHEN i.format IN ('PNG', 'TIFF', 'BMP') THEN i.size / 6.0::double precision ELSE i.size END AS bytes,
    i.taken_at IS NOT null AND i.camera_model IS NOT null AS of_camera
FROM imrec.image AS i;

COMMENT ON VIEW imrec_internal.keeper_rank IS 'What tells which of several images is best kept.';
