-- The statements that make privileges, policies and row-level security what imrec_internal.access and
-- imrec_internal.access_rule say; none when they are. In this order; relation is a table that must be locked.
-- Row-level security is on while somebody is restricted. Then each table has two policies: one for those who see
-- all, which is just true, so that the planner drops it; and for everybody the one that asks for their roots.
CREATE OR REPLACE VIEW imrec_internal.access_change WITH (security_invoker = true) AS
WITH reader AS (
    SELECT
        r.oid,
        r.rolname,
        a.sees_all
    FROM imrec_internal.access AS a
    INNER JOIN pg_catalog.pg_roles AS r ON a.role = r.oid -- not one that was dropped
),

secured AS (
    SELECT count(*) > 0 AS here
    FROM reader
    WHERE NOT reader.sees_all
),

guarded AS (
    SELECT
        c.oid,
        c.relrowsecurity,
        r.relation,
        r.condition
    FROM imrec_internal.access_rule AS r
    INNER JOIN pg_catalog.pg_class AS c ON c.oid = to_regclass(r.relation)
    WHERE r.condition IS NOT null
),

unrestricted AS (
    SELECT
        array_agg(reader.oid ORDER BY reader.oid) AS roles,
        string_agg(quote_ident(reader.rolname), ', ') AS names
    FROM reader
    WHERE reader.sees_all
),

wanted AS (
    SELECT
        g.oid,
        g.relation,
        'imrec_restricted' AS policy,
        g.condition,
        '{0}'::oid[] AS roles, -- PUBLIC
        format('FOR SELECT TO PUBLIC USING (%s)', g.condition) AS rest
    FROM guarded AS g CROSS JOIN secured
    WHERE secured.here
    UNION ALL
    SELECT
        g.oid,
        g.relation,
        'imrec_unrestricted' AS policy,
        'true' AS condition,
        a.roles,
        format('TO %s USING (true) WITH CHECK (true)', a.names) AS rest
    FROM guarded AS g
    CROSS JOIN secured
    CROSS JOIN unrestricted AS a
    WHERE secured.here AND a.roles IS NOT null
),

present AS (
    SELECT
        p.polrelid AS oid,
        p.polname::text AS policy,
        p.polrelid::regclass::text AS relation,
        array(
            SELECT role.oid FROM unnest(p.polroles) AS role (oid)
            ORDER BY role.oid
        ) AS roles,
        obj_description(p.oid, 'pg_policy') AS condition
    FROM pg_catalog.pg_policy AS p
    WHERE p.polname IN ('imrec_restricted', 'imrec_unrestricted')
)

SELECT
    1 AS step,
    p.relation,
    format('DROP POLICY %I ON %s', p.policy, p.relation) AS statement
FROM present AS p
LEFT JOIN wanted AS w
    ON p.oid = w.oid AND p.policy = w.policy AND p.roles = w.roles AND p.condition = w.condition
WHERE w.oid IS null
UNION ALL
SELECT
    2 AS step,
    w.relation,
    -- The comment keeps the condition as it was written: PostgreSQL shows it in words of its own.
    format(
        'CREATE POLICY %1$I ON %2$s %3$s; COMMENT ON POLICY %1$I ON %2$s IS %4$L',
        w.policy, w.relation, w.rest, w.condition
    ) AS statement
FROM wanted AS w
LEFT JOIN present AS p
    ON w.oid = p.oid AND w.policy = p.policy AND w.roles = p.roles AND w.condition = p.condition
WHERE p.oid IS null
UNION ALL
SELECT
    3 AS step,
    g.relation,
    format(
        'ALTER TABLE %s %s ROW LEVEL SECURITY', g.relation, CASE WHEN secured.here THEN 'ENABLE' ELSE 'DISABLE' END
    ) AS statement
FROM guarded AS g CROSS JOIN secured
WHERE g.relrowsecurity <> secured.here
UNION ALL
-- Table by table: what a later version adds is closed until there is a rule for it.
SELECT
    4 AS step,
    null AS relation,
    format('GRANT SELECT ON %s TO %I', r.relation, reader.rolname) AS statement
FROM reader CROSS JOIN imrec_internal.access_rule AS r
WHERE NOT reader.sees_all AND NOT has_table_privilege(reader.oid, to_regclass(r.relation), 'SELECT')
UNION ALL
-- What is internal is open to all: without privileges on the schema imrec it shows nothing.
SELECT
    5 AS step,
    null AS relation,
    'GRANT USAGE ON SCHEMA imrec_internal TO PUBLIC' AS statement
WHERE NOT has_schema_privilege('public', 'imrec_internal', 'USAGE')
UNION ALL
SELECT
    5 AS step,
    null AS relation,
    format('GRANT SELECT ON %s TO PUBLIC', c.oid::regclass) AS statement
FROM pg_catalog.pg_class AS c
WHERE
    c.relnamespace = 'imrec_internal'::regnamespace AND c.relkind IN ('r', 'v')
    AND NOT has_table_privilege('public', c.oid, 'SELECT');

COMMENT ON VIEW imrec_internal.access_change IS
'The statements that would make privileges and row-level security what they should be.';
