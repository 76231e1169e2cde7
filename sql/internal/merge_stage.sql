-- Moves the staged rows into the library. Every step goes in key order, so that two ingests with the same rows
-- wait for each other instead of deadlocking. Replaying a batch changes nothing. Of a feature or of metadata,
-- a later version of the extraction replaces an earlier one.
--
-- Files that another ingest has taken over, since it believed this one dead, are left to it and counted as
-- elsewhere; so are those of a batch that was stored before, when only the reply was lost. Their claims have
-- other tokens, or are gone. The other claims end with this transaction.
CREATE OR REPLACE FUNCTION imrec_internal.merge_stage(
    OUT new_images bigint, OUT duplicates bigint, OUT replaced bigint, OUT elsewhere bigint
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    features CONSTANT text[] := ARRAY(SELECT f.feature FROM imrec.feature AS f);
    feature text;
    lost uuid[];
    kept uuid[];
    kept_files bigint;
    left_images uuid[];
BEGIN
    WITH held AS MATERIALIZED (
        SELECT c.file_id FROM imrec.claim AS c
        INNER JOIN pg_temp.stage_claim AS s ON s.file_id = c.file_id AND s.token = c.token
        ORDER BY c.file_id FOR UPDATE OF c
    ),
    ended AS (
        DELETE FROM imrec.claim AS c USING held WHERE c.file_id = held.file_id RETURNING c.file_id
    )
    SELECT array_agg(s.file_id) INTO lost FROM pg_temp.stage_claim AS s
    WHERE s.file_id NOT IN (SELECT e.file_id FROM ended AS e);
    elsewhere := coalesce(cardinality(lost), 0);
    IF elsewhere > 0 THEN
        DELETE FROM pg_temp.stage_file WHERE file_id = ANY (lost);
        DELETE FROM pg_temp.stage_failure WHERE file_id = ANY (lost);
        -- No image without a file, and no feature without an image.
        kept := ARRAY(SELECT f.image_id FROM pg_temp.stage_file AS f);
        FOREACH feature IN ARRAY features || 'image'::text LOOP
            EXECUTE format('DELETE FROM pg_temp.%I WHERE image_id <> ALL ($1)', 'stage_' || feature) USING kept;
        END LOOP;
    END IF;

    INSERT INTO imrec.image (
        image_id, size, width, height, format, taken_at, camera_make, camera_model, truncated, version
    )
    SELECT s.image_id, s.size, s.width, s.height, s.format, s.taken_at, s.camera_make, s.camera_model, s.truncated, s.version
    FROM pg_temp.stage_image AS s ORDER BY s.image_id
    ON CONFLICT (image_id) DO NOTHING;
    GET DIAGNOSTICS new_images = ROW_COUNT;
    UPDATE imrec.image AS i
    SET width = s.width, height = s.height, format = s.format, taken_at = s.taken_at,
        camera_make = s.camera_make, camera_model = s.camera_model, truncated = s.truncated, version = s.version
    FROM (
        SELECT o.image_id FROM imrec.image AS o INNER JOIN pg_temp.stage_image AS n ON n.image_id = o.image_id
        WHERE o.version < n.version ORDER BY o.image_id FOR UPDATE OF o
    ) AS outdated
    INNER JOIN pg_temp.stage_image AS s ON s.image_id = outdated.image_id
    WHERE i.image_id = outdated.image_id;

    -- A file that now holds other bytes leaves its old image; so does one whose new bytes are no image.
    WITH held AS (
        SELECT s.file_id, s.image_id FROM pg_temp.stage_file AS s
        UNION ALL
        SELECT s.file_id, s.image_id FROM pg_temp.stage_failure AS s WHERE s.image_id IS NOT NULL
    ),
    stale AS MATERIALIZED (
        SELECT f.image_id, f.file_id
        FROM imrec.file AS f
        INNER JOIN held ON held.file_id = f.file_id
        WHERE f.image_id <> held.image_id
        ORDER BY f.file_id
        FOR UPDATE OF f
    ),
    deleted AS (
        DELETE FROM imrec.file AS f USING stale
        WHERE f.image_id = stale.image_id AND f.file_id = stale.file_id
        RETURNING f.image_id
    )
    SELECT array_agg(d.image_id ORDER BY d.image_id), count(*) INTO left_images, replaced FROM deleted AS d;

    SELECT count(*) INTO kept_files
    FROM imrec.file AS f
    INNER JOIN pg_temp.stage_file AS s ON s.image_id = f.image_id AND s.file_id = f.file_id;
    INSERT INTO imrec.file (image_id, file_id, root_id, relative_path, path, size, mtime_ns)
    SELECT s.image_id, s.file_id, s.root_id, s.relative_path, s.path, s.size, s.mtime_ns
    FROM pg_temp.stage_file AS s ORDER BY s.file_id
    ON CONFLICT (image_id, file_id) DO UPDATE
        SET path = excluded.path, size = excluded.size, mtime_ns = excluded.mtime_ns;
    GET DIAGNOSTICS duplicates = ROW_COUNT;
    duplicates := duplicates - kept_files - new_images;

    FOREACH feature IN ARRAY features LOOP
        EXECUTE format(
            'INSERT INTO imrec.%1$I AS f (image_id, %1$I, version) SELECT s.image_id, s.%1$I, s.version '
            'FROM pg_temp.%2$I AS s ORDER BY s.image_id ON CONFLICT (image_id) DO UPDATE '
            'SET %1$I = excluded.%1$I, version = excluded.version WHERE f.version < excluded.version',
            feature, 'stage_' || feature
        );
    END LOOP;

    PERFORM imrec_internal.reduce_images(ARRAY(
        SELECT s.image_id FROM pg_temp.stage_embedding AS s
        UNION
        SELECT s.image_id FROM pg_temp.stage_histogram AS s
    ));

    -- Every image keeps at least one file, so that a search never has to look past one without.
    DELETE FROM imrec.image
    WHERE image_id = ANY (left_images)
        AND image_id NOT IN (SELECT f.image_id FROM imrec.file AS f WHERE f.image_id = ANY (left_images));

    DELETE FROM imrec.failure WHERE file_id IN (SELECT s.file_id FROM pg_temp.stage_file AS s);
    INSERT INTO imrec.failure (file_id, root_id, relative_path, path, size, mtime_ns, error_class, error)
    SELECT s.file_id, s.root_id, s.relative_path, s.path, s.size, s.mtime_ns, s.error_class, s.error
    FROM pg_temp.stage_failure AS s ORDER BY s.file_id
    ON CONFLICT (file_id) DO UPDATE
        SET path = excluded.path, size = excluded.size, mtime_ns = excluded.mtime_ns,
            error_class = excluded.error_class, error = excluded.error,
            attempts = failure.attempts + 1, last_attempt_at = excluded.last_attempt_at;
END;
$$;

COMMENT ON FUNCTION imrec_internal.merge_stage() IS
'Moves the staged rows of this transaction into the library; counts new images, files whose content was '
'already known, files whose content was replaced, and files that another ingest has taken over.';
