-- Moves the staged rows into the catalogue. Every step goes in key order, so that two ingesters with the
-- same rows wait for each other instead of deadlocking. Replaying a batch changes nothing. What another
-- ingest has taken over is left to it, and counted as elsewhere.
CREATE FUNCTION imrec.merge_stage(
    OUT new_images bigint, OUT duplicates bigint, OUT replaced bigint, OUT elsewhere bigint
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    kept_locations bigint;
    left_images uuid [];
BEGIN
    elsewhere := imrec.fence_stage();

    INSERT INTO imrec.image SELECT * FROM pg_temp.stage_image ORDER BY image_id
    ON CONFLICT (image_id) DO NOTHING;
    GET DIAGNOSTICS new_images = ROW_COUNT;

    -- A file that now holds other bytes leaves its old image; so does one whose new bytes are no image.
    WITH held AS (
        SELECT s.location_id, s.image_id FROM pg_temp.stage_location AS s
        UNION ALL
        SELECT s.location_id, s.image_id FROM pg_temp.stage_failure AS s WHERE s.image_id IS NOT NULL
    ),
    stale AS MATERIALIZED (
        SELECT l.image_id, l.location_id
        FROM imrec.location AS l
        INNER JOIN held ON held.location_id = l.location_id
        WHERE l.image_id <> held.image_id
        ORDER BY l.location_id
        FOR UPDATE OF l
    ),
    deleted AS (
        DELETE FROM imrec.location AS l USING stale
        WHERE l.image_id = stale.image_id AND l.location_id = stale.location_id
        RETURNING l.image_id
    )
    SELECT array_agg(deleted.image_id ORDER BY deleted.image_id), count(*)
    INTO left_images, replaced FROM deleted;

    SELECT count(*) INTO kept_locations
    FROM imrec.location AS l
    INNER JOIN pg_temp.stage_location AS s ON s.image_id = l.image_id AND s.location_id = l.location_id;
    INSERT INTO imrec.location SELECT * FROM pg_temp.stage_location ORDER BY location_id
    ON CONFLICT (image_id, location_id) DO UPDATE
        SET path = excluded.path, bytes = excluded.bytes, mtime_ns = excluded.mtime_ns;
    GET DIAGNOSTICS duplicates = ROW_COUNT;
    duplicates := duplicates - kept_locations - new_images;

    INSERT INTO imrec.embedding SELECT * FROM pg_temp.stage_embedding ORDER BY image_id
    ON CONFLICT (image_id) DO NOTHING;
    INSERT INTO imrec.histogram SELECT * FROM pg_temp.stage_histogram ORDER BY image_id
    ON CONFLICT (image_id) DO NOTHING;
    INSERT INTO imrec.hash SELECT * FROM pg_temp.stage_hash ORDER BY image_id
    ON CONFLICT (image_id) DO NOTHING;

    -- Every image keeps at least one location, so that a search never has to look past one without.
    DELETE FROM imrec.image
    WHERE image_id = ANY(left_images)
        AND image_id NOT IN (SELECT l.image_id FROM imrec.location AS l WHERE l.image_id = ANY(left_images));

    DELETE FROM imrec.failure
    WHERE location_id IN (SELECT s.location_id FROM pg_temp.stage_location AS s);
    INSERT INTO imrec.failure (
        location_id, root_id, relative_path, path, bytes, mtime_ns, error_class, error
    )
    SELECT location_id, root_id, relative_path, path, bytes, mtime_ns, error_class, error
    FROM pg_temp.stage_failure ORDER BY location_id
    ON CONFLICT (location_id) DO UPDATE
        SET path = excluded.path, bytes = excluded.bytes, mtime_ns = excluded.mtime_ns,
            error_class = excluded.error_class, error = excluded.error,
            attempts = failure.attempts + 1, last_attempt_at = excluded.last_attempt_at;
END;
$$;

COMMENT ON FUNCTION imrec.merge_stage IS
'Moves the staged rows of this transaction into the catalogue; counts new images, files whose content was '
'already known, files whose content was replaced, and files that another ingest has taken over.';
