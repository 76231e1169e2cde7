-- The statements that give restricted readers, who are the roles of imrec_internal.access, what is made for them, and
-- everybody what is internal and tells of nothing; none when they have it. What is not named here is closed to
-- restricted readers: they see photos through functions that run with the owner's rights and ask
-- imrec_internal.reader_roots (docs/adr/0023).
CREATE OR REPLACE VIEW imrec_internal.grant_change WITH (security_invoker = true) AS
SELECT format('GRANT SELECT ON %s TO %I', v.relation, r.rolname) AS statement
FROM imrec_internal.access AS a
INNER JOIN pg_catalog.pg_roles AS r ON a.role = r.oid -- not one that was dropped
CROSS JOIN imrec_internal.open_relation AS v
WHERE NOT has_table_privilege(r.oid, to_regclass(v.relation), 'SELECT')
UNION ALL
-- Functions in there run with the rights of the caller, but for those that look for them first; so do the views.
SELECT 'GRANT USAGE ON SCHEMA imrec_internal TO PUBLIC' AS statement
WHERE NOT has_schema_privilege('public', 'imrec_internal', 'USAGE')
UNION ALL
SELECT format('GRANT SELECT ON %s TO PUBLIC', c.oid::regclass) AS statement
FROM pg_catalog.pg_class AS c
WHERE
    c.relnamespace = 'imrec_internal'::regnamespace AND (c.relkind = 'v' OR c.relname IN ('applied_sql', 'lock'))
    AND NOT has_table_privilege('public', c.oid, 'SELECT');

COMMENT ON VIEW imrec_internal.grant_change IS 'The GRANTs that restricted readers and everybody lack.';
