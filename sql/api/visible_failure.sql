-- The files that could not be read, of those that the current user may see; like imrec.visible_photo.
CREATE OR REPLACE VIEW imrec.visible_failure AS
SELECT
    f.path,
    f.file_id,
    f.root_id,
    f.relative_path,
    f.size,
    f.error_class,
    f.error,
    f.attempts,
    f.created_at,
    f.last_attempt_at
FROM imrec_internal.visible_failures(current_user) AS f;

COMMENT ON VIEW imrec.visible_failure IS
'The files that could not be read, in the roots whose photos the current user may see.';
