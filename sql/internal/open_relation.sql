-- What restricted readers may read in the schema imrec: views made for them, and what tells of no photo.
CREATE OR REPLACE VIEW imrec_internal.open_relation WITH (security_invoker = true) AS
SELECT r.relation
FROM (
    VALUES
    ('imrec.visible_photo'), ('imrec.visible_failure'), ('imrec.visible_root'),
    ('imrec.feature'), ('imrec.model'), ('imrec.schema_version')
) AS r (relation);

COMMENT ON VIEW imrec_internal.open_relation IS 'What restricted readers may read in the schema imrec.';
