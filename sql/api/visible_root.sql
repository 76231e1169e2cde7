-- The roots whose photos the current user may see; like imrec.visible_photo. folders says where the root lies on
-- each of hosts.
CREATE OR REPLACE VIEW imrec.visible_root AS
SELECT
    r.root_id,
    r.name,
    r.raw_path,
    r.hosts,
    r.folders
FROM imrec_internal.visible_roots(current_user) AS r;

COMMENT ON VIEW imrec.visible_root IS 'The roots whose photos the current user may see.';
