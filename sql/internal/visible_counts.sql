-- Of each named feature, or metadata: how many of the images that a reader of some roots sees have it, and how many of
-- those by a version before the given one. For imrec-pg status.
CREATE OR REPLACE FUNCTION imrec_internal.visible_counts(reader name, names text[], versions integer[])
RETURNS TABLE (name text, stored bigint, outdated bigint)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET enable_mergejoin = off
SET enable_hashjoin = on
SET enable_nestloop = on
SET enable_indexscan = on
AS $$
DECLARE
    roots CONSTANT uuid[] := imrec_internal.reader_roots(reader);
BEGIN
    RETURN QUERY
    SELECT w.name, count(s.image_id), count(s.image_id) FILTER (WHERE s.version < w.version)
    FROM unnest(names, versions) AS w (name, version)
    LEFT JOIN (
        SELECT a.* FROM imrec_internal.stored_feature AS a
        WHERE a.image_id IN (SELECT f.image_id FROM imrec.file AS f WHERE f.root_id = ANY (roots))
    ) AS s ON s.feature = w.name
    GROUP BY w.name;
END;
$$;

COMMENT ON FUNCTION imrec_internal.visible_counts(name, text[], integer[]) IS
'How many of the images that a reader of some roots sees have each feature.';
