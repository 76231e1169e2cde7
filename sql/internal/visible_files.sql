-- The files in some roots that hold these images: by which each is shown, as in imrec_internal.image_file, and how
-- many there are. Files of other roots are not even looked at, which the counters of pg_stat_user_indexes would
-- tell: a comparison of rows is served by the index on (root_id, image_id) and by no other.
CREATE OR REPLACE FUNCTION imrec_internal.visible_files(roots uuid[], image_ids uuid[])
RETURNS TABLE (image_id uuid, copies bigint, file_id uuid, path text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
SET enable_mergejoin = off
SET enable_hashjoin = on
SET enable_nestloop = on
SET enable_indexscan = on
SET enable_seqscan = off
BEGIN ATOMIC
    SELECT
        f.image_id,
        count(*) AS copies,
        (array_agg(f.file_id ORDER BY m.file_id IS NOT null, h.root_id IS null, f.path, f.file_id))[1] AS file_id,
        (array_agg(f.path ORDER BY m.file_id IS NOT null, h.root_id IS null, f.path, f.file_id))[1] AS path
    FROM (SELECT DISTINCT a.id FROM unnest(visible_files.image_ids) AS a (id)) AS i
    CROSS JOIN unnest(visible_files.roots) AS r (id)
    INNER JOIN imrec.file AS f ON (f.root_id, f.image_id) >= (r.id, i.id) AND (f.root_id, f.image_id) <= (r.id, i.id)
    LEFT JOIN imrec.mount AS h ON f.root_id = h.root_id AND h.host = current_setting('imrec.host', true)
    LEFT JOIN imrec.missing AS m ON f.file_id = m.file_id
    GROUP BY f.image_id;
END;

COMMENT ON FUNCTION imrec_internal.visible_files(uuid[], uuid[]) IS
'By which file in some roots each of these images is shown, and how many there are.';
