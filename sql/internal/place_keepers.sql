-- Fills pg_temp.duplicate_node: the images of pg_temp.duplicate_edge and their places in the order in which they become
-- keepers (imrec_internal.keeper_key, each beside what it is alike). Those with more than 50 neighbours come before all
-- others: of very many alike pictures most are paired with one only, which must be the keeper.
CREATE OR REPLACE FUNCTION imrec_internal.place_keepers()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET work_mem = '16MB'
AS $$
BEGIN
    CREATE TEMP TABLE duplicate_node ON COMMIT DROP AS
    WITH rank AS MATERIALIZED (
        SELECT k.*, f.mtime_ns FROM imrec_internal.keeper_rank AS k
        INNER JOIN (
            SELECT o.image_id, min(o.mtime_ns) AS mtime_ns FROM imrec.file AS o
            WHERE o.image_id IN (SELECT e.image_id FROM pg_temp.duplicate_edge AS e) GROUP BY o.image_id
        ) AS f ON f.image_id = k.image_id
    )
    SELECT r.image_id, NULL::boolean AS keeper, row_number() OVER (
        ORDER BY n.number > 50 DESC, imrec_internal.keeper_key(
            r.of_camera, r.format, r.pixels, r.bytes, greatest(r.pixels, n.pixels), greatest(r.bytes, n.bytes), r.mtime_ns
        ), r.image_id
    ) AS place
    FROM rank AS r
    INNER JOIN (
        SELECT e.image_id, count(*) AS number, max(o.pixels) AS pixels, max(o.bytes) AS bytes
        FROM pg_temp.duplicate_edge AS e
        INNER JOIN rank AS o ON o.image_id = e.other_id
        GROUP BY e.image_id
    ) AS n ON n.image_id = r.image_id;
    CREATE UNIQUE INDEX ON pg_temp.duplicate_node (image_id);
    ANALYZE pg_temp.duplicate_node;
END;
$$;

COMMENT ON FUNCTION imrec_internal.place_keepers() IS
'The order in which images of a search for duplicates become keepers of groups.';
