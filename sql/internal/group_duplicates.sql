-- Makes groups of the pairs anew: of all, or of those that have to do with some images. A group is a star: each member
-- is near to its keeper, or is said to be the same; so nothing chains. The keepers are those that come first when the
-- images are taken in the order of imrec_internal.place_keepers, and each image becomes a keeper that is near to none
-- before it; found in rounds, in which each image that is better than all undecided ones near to it becomes one. Other
-- images join the nearest keeper. Two images that are said to be different or alternates are in no group together.
CREATE OR REPLACE FUNCTION imrec_internal.group_duplicates(images uuid[])
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET work_mem = '16MB'
AS $$
DECLARE
    of_kind text;
    changed bigint;
BEGIN
    PERFORM pg_advisory_xact_lock('imrec.duplicate_member'::regclass::oid::bigint);
    FOREACH of_kind IN ARRAY '{copy,burst}'::text[] LOOP
        CREATE TEMP TABLE duplicate_edge ON COMMIT DROP AS
        SELECT * FROM imrec_internal.duplicate_edges(of_kind, images);
        CREATE INDEX ON pg_temp.duplicate_edge (image_id);
        ANALYZE pg_temp.duplicate_edge;
        PERFORM imrec_internal.place_keepers();
        LOOP
            UPDATE pg_temp.duplicate_node AS n SET keeper = true
            WHERE n.keeper IS NULL AND n.image_id NOT IN (
                SELECT e.image_id FROM pg_temp.duplicate_edge AS e
                INNER JOIN pg_temp.duplicate_node AS s ON s.image_id = e.image_id AND s.keeper IS NULL
                INNER JOIN pg_temp.duplicate_node AS o ON o.image_id = e.other_id AND o.keeper IS NULL
                WHERE o.place < s.place
            );
            GET DIAGNOSTICS changed = ROW_COUNT;
            EXIT WHEN changed = 0;
            UPDATE pg_temp.duplicate_node AS n SET keeper = false
            WHERE n.keeper IS NULL AND n.image_id IN (
                SELECT e.image_id FROM pg_temp.duplicate_edge AS e
                INNER JOIN pg_temp.duplicate_node AS o ON o.image_id = e.other_id AND o.keeper
            );
        END LOOP;
        PERFORM imrec_internal.store_duplicate_groups(of_kind, images);
        DROP TABLE pg_temp.duplicate_edge, pg_temp.duplicate_node;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION imrec_internal.group_duplicates(uuid[]) IS
'Makes groups of duplicates anew: stars of images that are near to a keeper; of all, or around some images.';
