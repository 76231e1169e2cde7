-- Forgets files that have been missing for so long, and images that no other file holds, with their features.
-- Returns how many of each. With dry_run they are only counted. most bounds the work of one call, and so of its
-- transaction: call it again until files is 0, as imrec-pg prune does.
CREATE OR REPLACE FUNCTION imrec.prune(
    older_than interval DEFAULT '0', dry_run boolean DEFAULT false, most integer DEFAULT null,
    OUT files bigint, OUT images bigint
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone uuid[];
    held uuid[];
BEGIN
    IF dry_run THEN
        SELECT count(*), array_agg(DISTINCT f.image_id) INTO files, held
        FROM imrec.file AS f INNER JOIN imrec.missing AS m ON m.file_id = f.file_id
        WHERE m.since <= now() - prune.older_than;
        SELECT count(*) INTO images FROM unnest(held) AS h (image_id)
        WHERE h.image_id NOT IN (
            SELECT f.image_id FROM imrec.file AS f
            LEFT JOIN imrec.missing AS m ON m.file_id = f.file_id AND m.since <= now() - prune.older_than
            WHERE f.image_id = ANY (held) AND m.file_id IS NULL
        );
        RETURN;
    END IF;
    -- In key order, as ingest takes rows. With the row of imrec.missing, so that a file that an ingest has
    -- found again meanwhile is not among them.
    SELECT array_agg(n.file_id), array_agg(DISTINCT n.image_id) INTO gone, held FROM (
        SELECT f.file_id, f.image_id FROM imrec.file AS f
        INNER JOIN imrec.missing AS m ON m.file_id = f.file_id
        WHERE m.since <= now() - prune.older_than ORDER BY f.file_id LIMIT most FOR UPDATE OF f, m
    ) AS n;
    files := coalesce(cardinality(gone), 0);
    images := imrec_internal.forget(gone, held);
    -- Those too whose file somebody else has forgotten meanwhile.
    DELETE FROM imrec.missing WHERE file_id IN (
        SELECT m.file_id FROM imrec.missing AS m
        LEFT JOIN imrec.file AS f ON f.file_id = m.file_id WHERE f.file_id IS NULL
    );
END;
$$;

COMMENT ON FUNCTION imrec.prune(interval, boolean, integer) IS
'Forgets files that have been missing for so long, and images that no other file holds; returns how many.';
