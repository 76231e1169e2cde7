-- Which images may be in an answer, as one value for the filter argument of imrec.search and its relatives.
-- under is a folder; times are the camera's local ones, after included, before not; sizes of files are in
-- bytes; camera is any part of make and model.
CREATE FUNCTION imrec.filter(
    under text DEFAULT NULL, root text DEFAULT NULL,
    after timestamp DEFAULT NULL, before timestamp DEFAULT NULL,
    min_bytes bigint DEFAULT NULL, max_bytes bigint DEFAULT NULL,
    min_width integer DEFAULT NULL, min_height integer DEFAULT NULL,
    camera text DEFAULT NULL, format text DEFAULT NULL
)
RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'under', filter.under, 'root', filter.root, 'after', filter.after, 'before', filter.before,
        'min_bytes', filter.min_bytes, 'max_bytes', filter.max_bytes,
        'min_width', filter.min_width, 'min_height', filter.min_height,
        'camera', filter.camera, 'format', filter.format
    ))
$$;

COMMENT ON FUNCTION imrec.filter IS
'Which images may be in an answer: imrec.search(…, filter => imrec.filter(under => ''/photos/2024''))';
