-- What the current user may list, one row a file; for readers of some roots, who may not read imrec.photo and the
-- tables. It is made by a function that shows nothing of how it goes about it: what conditions on the view are
-- compared with are rows of the current user alone.
CREATE OR REPLACE VIEW imrec.visible_photo AS
SELECT
    p.path,
    p.image_id,
    p.file_id,
    p.root_id,
    p.relative_path,
    p.size,
    p.width,
    p.height,
    p.format,
    p.taken_at,
    p.camera_make,
    p.camera_model,
    p.truncated,
    p.modified_at,
    p.missing_since
FROM imrec_internal.visible_photos(current_user) AS p;

COMMENT ON VIEW imrec.visible_photo IS
'The photos that the current user may see, one row a file; for readers of some roots, who may not read the tables.';
