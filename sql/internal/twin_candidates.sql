-- Adds to pg_temp.duplicate_candidate images all of whose hashes are the same, flat pictures too: each beside the
-- first of them alone, so that n images make n pairs.
CREATE OR REPLACE FUNCTION imrec_internal.twin_candidates()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET work_mem = '64MB'
AS $$
BEGIN
    INSERT INTO pg_temp.duplicate_candidate (image_id, other_id)
    SELECT n.first, n.image_id
    FROM (
        SELECT a.image_id, first_value(a.image_id) OVER w AS first
        FROM imrec.average_hash AS a
        INNER JOIN imrec.difference_hash AS d ON d.image_id = a.image_id
        INNER JOIN imrec.perceptual_hash AS p ON p.image_id = a.image_id
        WINDOW w AS (PARTITION BY a.average_hash, d.difference_hash, p.perceptual_hash ORDER BY a.image_id)
    ) AS n
    WHERE n.first <> n.image_id;
END;
$$;

COMMENT ON FUNCTION imrec_internal.twin_candidates() IS
'Adds images all of whose hashes are the same to the candidates of a search for duplicates.';
