-- Which photos may be in an answer, as one value for the filter argument of imrec.search and its relatives.
-- under is a folder; times are the camera's local ones, after included, before not; sizes are in bytes, width
-- and height in pixels; camera is any part of make and model; format is JPEG, jpg, HEIF, heic, …
-- cluster is a number of imrec.clusters(), in_box are corners on a map: lowest x, y, highest x, y; or with z, on a map
-- of three dimensions. Both are by the feature that is searched, or by_feature; on_map (2 or 3): a cluster found on
-- that map.
CREATE OR REPLACE FUNCTION imrec.filter(
    under text DEFAULT NULL, root text DEFAULT NULL,
    after timestamp DEFAULT NULL, before timestamp DEFAULT NULL,
    min_size bigint DEFAULT NULL, max_size bigint DEFAULT NULL,
    min_width integer DEFAULT NULL, min_height integer DEFAULT NULL,
    camera text DEFAULT NULL, format text DEFAULT NULL,
    cluster integer DEFAULT NULL, in_box double precision[] DEFAULT NULL,
    by_feature text DEFAULT NULL, on_map integer DEFAULT NULL
)
RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'under', filter.under, 'root', filter.root, 'after', filter.after, 'before', filter.before,
        'min_size', filter.min_size, 'max_size', filter.max_size,
        'min_width', filter.min_width, 'min_height', filter.min_height,
        'camera', filter.camera, 'format', filter.format,
        'cluster', filter.cluster, 'in_box', filter.in_box, 'by_feature', filter.by_feature, 'on_map', filter.on_map
    ));
END;

COMMENT ON FUNCTION imrec.filter(
    text, text, timestamp without time zone, timestamp without time zone, bigint, bigint, integer, integer, text, text,
    integer, double precision[], text, integer
) IS
'Which photos may be in an answer: imrec.search(…, filter => imrec.filter(under => ''/photos/2024'')).';
