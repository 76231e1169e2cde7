-- Forgets files that have been missing for so long, and images that no other file holds, with their features.
-- Returns how many of each; with dry_run nothing is changed.
CREATE FUNCTION imrec.prune(
    older_than interval DEFAULT '0', dry_run boolean DEFAULT true, OUT files bigint, OUT images bigint
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    gone uuid[];
    held uuid[];
BEGIN
    -- In key order, as ingest takes rows, so that the two wait for each other instead of deadlocking.
    SELECT array_agg(n.location_id), array_agg(DISTINCT n.image_id) INTO gone, held FROM (
        SELECT l.location_id, l.image_id FROM imrec.location AS l
        INNER JOIN imrec.missing AS m ON m.location_id = l.location_id
        WHERE m.since <= now() - prune.older_than ORDER BY l.location_id FOR UPDATE OF l
    ) AS n;
    files := coalesce(cardinality(gone), 0);
    SELECT count(*) INTO images FROM unnest(held) AS h (image_id)
    WHERE NOT EXISTS (
        SELECT FROM imrec.location AS l WHERE l.image_id = h.image_id AND l.location_id <> ALL (gone)
    );
    IF NOT dry_run THEN
        DELETE FROM imrec.location WHERE location_id = ANY (gone) AND image_id = ANY (held);
        -- Those too whose row somebody else has deleted meanwhile.
        DELETE FROM imrec.missing AS m WHERE NOT EXISTS (
            SELECT FROM imrec.location AS l WHERE l.location_id = m.location_id
        );
        DELETE FROM imrec.image AS i WHERE i.image_id = ANY (held) AND NOT EXISTS (
            SELECT FROM imrec.location AS l WHERE l.image_id = i.image_id
        );
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec.prune IS
'Forgets files that have been missing for so long, and images that no other file holds; returns how many.';
