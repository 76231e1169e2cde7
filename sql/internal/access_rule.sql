-- What row-level security shows a restricted reader of each table (docs/adr/0017), and what such a reader is
-- granted: what has no line here is closed to them. condition is NULL where nothing tells of photos, and for
-- views, which read with the rights of the caller.
CREATE OR REPLACE VIEW imrec_internal.access_rule WITH (security_invoker = true) AS
SELECT
    r.relation,
    -- OFFSET keeps it one look-up a row: else the planner reads all of imrec.file beforehand. For a walk over an
    -- HNSW index, which looks at some hundred rows, that took five times as long among 50,000 images.
    replace(
        CASE r.sees
            WHEN 'own roots'
                THEN -- once a statement, not once a row
                    'root_id = ANY (ARRAY(SELECT a.root_id FROM imrec_internal.access_root AS a '
                    'WHERE pg_catalog.pg_has_role(a.role, ''USAGE'')))'
            WHEN 'images of own files'
                THEN 'EXISTS (SELECT FROM imrec.file AS f WHERE f.image_id = {table}.image_id OFFSET 0)'
            WHEN 'own files' THEN 'EXISTS (SELECT FROM imrec.file AS f WHERE f.file_id = {table}.file_id OFFSET 0)'
            WHEN 'own rights' THEN 'pg_catalog.pg_has_role(role, ''USAGE'')'
            WHEN 'nothing' THEN 'false'
        END, '{table}', split_part(r.relation, '.', 2)
    ) AS condition
FROM (
    VALUES
    ('imrec.root', 'own roots'),
    ('imrec.mount', 'own roots'),
    ('imrec.file', 'own roots'),
    ('imrec.failure', 'own roots'),
    ('imrec.claim', 'own roots'),
    ('imrec.image', 'images of own files'),
    ('imrec.missing', 'own files'),
    ('imrec.worker', 'nothing'), -- hosts and processes of others
    ('imrec.tuning', 'nothing'), -- it counts all images
    -- They count and show all images.
    ('imrec.map', 'nothing'),
    ('imrec.map_point', 'nothing'),
    ('imrec.map_projection', 'nothing'),
    ('imrec.map_cell', 'nothing'),
    ('imrec.clustering', 'nothing'),
    ('imrec.cluster', 'nothing'),
    ('imrec.cluster_member', 'nothing'),
    ('imrec_internal.access', 'own rights'),
    ('imrec_internal.access_root', 'own rights'),
    ('imrec.model', 'all'),
    ('imrec.hamming_flip', 'all'),
    ('imrec.schema_version', 'all'),
    ('imrec.feature', 'all'),
    ('imrec.photo', 'all'),
    ('imrec.mapped', 'all')
) AS r (relation, sees)
UNION ALL
SELECT
    'imrec.' || f.feature AS relation,
    format('EXISTS (SELECT FROM imrec.file AS f WHERE f.image_id = %I.image_id OFFSET 0)', f.feature) AS condition
FROM imrec.feature AS f;

COMMENT ON VIEW imrec_internal.access_rule IS 'What row-level security shows a restricted reader of each table.';
