-- What images are sorted by to have the one first that is best kept; smaller is better. First what comes from a camera,
-- by its EXIF, which edits and what is sent by messengers have lost; then a camera raw, then HEIC. Then those with half
-- of the most pixels among what they are compared with, or a fifth and a third of the most bytes (those of a lossless
-- format count a sixth), the oldest file first: an enlarged copy has more pixels than its original, but it is later and
-- hardly larger. Then more pixels, more bytes.
CREATE OR REPLACE FUNCTION imrec_internal.keeper_key(
    of_camera boolean, format text, pixels bigint, bytes double precision,
    most_pixels bigint, most_bytes double precision, mtime_ns bigint
)
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN
        keeper_key.pixels * CASE WHEN 3 * keeper_key.bytes >= keeper_key.most_bytes THEN 5 ELSE 2 END
        >= keeper_key.most_pixels
        THEN ARRAY[
            (NOT keeper_key.of_camera)::integer,
            CASE WHEN imrec_internal.is_raw(keeper_key.format) THEN 0 WHEN keeper_key.format = 'HEIF' THEN 1 ELSE 2 END,
            0, coalesce(keeper_key.mtime_ns::double precision, 'infinity'), -keeper_key.pixels, -keeper_key.bytes
        ]
    ELSE ARRAY[
        (NOT keeper_key.of_camera)::integer,
        CASE WHEN imrec_internal.is_raw(keeper_key.format) THEN 0 WHEN keeper_key.format = 'HEIF' THEN 1 ELSE 2 END,
        1, -keeper_key.pixels, -keeper_key.bytes, coalesce(keeper_key.mtime_ns::double precision, 'infinity')
    ]
END;

COMMENT ON FUNCTION imrec_internal.keeper_key(
    boolean, text, bigint, double precision, bigint, double precision, bigint
) IS 'What images are sorted by to have the one first that is best kept.';
