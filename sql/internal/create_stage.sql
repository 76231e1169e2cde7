-- Makes this session's staging tables: what COPY fills and imrec_internal.merge_stage() moves into the library.
-- Called at the start of each batch's transaction, so that it also works behind a pooler that hands every
-- transaction another server connection. A stage of another shape, from before an upgrade, is made anew.
CREATE OR REPLACE FUNCTION imrec_internal.create_stage()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning -- otherwise each batch says 'relation already exists'
AS $$
DECLARE
    -- image_id of a failure: what the file holds now, NULL when its bytes could not be read. token: what
    -- imrec_internal.claim() gave; a file without one is not held against anything.
    stages CONSTANT jsonb := '{"image": null, "file": null, "failure": "image_id uuid", "claim": "file_id uuid, token bigint"}'
        || (SELECT jsonb_object_agg(f.feature, NULL) FROM imrec.feature AS f);
    wanted record;
BEGIN
    FOR wanted IN
        SELECT 'stage_' || s.key AS stage, concat_ws(', ', pattern.columns, s.value) AS columns,
            concat_ws(', ', pattern.shape, s.value) AS shape, existing.shape AS found
        FROM jsonb_each_text(stages) AS s
        LEFT JOIN (
            SELECT c.relname, format('LIKE imrec.%I INCLUDING DEFAULTS INCLUDING STORAGE', c.relname) AS columns,
                string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) AS shape
            FROM pg_class AS c
            INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relnamespace = 'imrec'::regnamespace AND c.relname <> 'claim'
            GROUP BY c.relname
        ) AS pattern ON pattern.relname = s.key
        LEFT JOIN (
            SELECT c.relname,
                string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) AS shape
            FROM pg_class AS c
            INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
            WHERE c.relnamespace = pg_my_temp_schema()
            GROUP BY c.relname
        ) AS existing ON existing.relname = 'stage_' || s.key
    LOOP
        IF wanted.found <> wanted.shape THEN
            EXECUTE format('DROP TABLE pg_temp.%I', wanted.stage);
        END IF;
        EXECUTE format('CREATE TEMP TABLE IF NOT EXISTS %I (%s) ON COMMIT DELETE ROWS', wanted.stage, wanted.columns);
    END LOOP;
END;
$$;

COMMENT ON FUNCTION imrec_internal.create_stage() IS
'Makes the staging tables of this session: COPY fills them, imrec_internal.merge_stage() empties them.';
