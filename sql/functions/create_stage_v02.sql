-- Makes this session's staging tables: what COPY fills and imrec.merge_stage() moves into the catalogue.
-- Called at the start of each batch's transaction, so that it also works behind a pooler that hands every
-- transaction another server connection.
CREATE FUNCTION imrec.create_stage()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET client_min_messages = warning -- else each batch says 'relation already exists'
AS $$
BEGIN
    CREATE TEMP TABLE IF NOT EXISTS stage_image (LIKE imrec.image INCLUDING DEFAULTS)
        ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE IF NOT EXISTS stage_location (LIKE imrec.location INCLUDING DEFAULTS)
        ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE IF NOT EXISTS stage_embedding (LIKE imrec.embedding INCLUDING STORAGE)
        ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE IF NOT EXISTS stage_histogram (LIKE imrec.histogram INCLUDING STORAGE)
        ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE IF NOT EXISTS stage_hash (LIKE imrec.hash)
        ON COMMIT DELETE ROWS;
    -- image_id: what the file holds now, NULL when its bytes could not be read.
    CREATE TEMP TABLE IF NOT EXISTS stage_failure (LIKE imrec.failure INCLUDING DEFAULTS, image_id uuid)
        ON COMMIT DELETE ROWS;
    -- What imrec.claim() gave for the files of this batch; a file without one is not held against anything.
    CREATE TEMP TABLE IF NOT EXISTS stage_claim (location_id uuid, token bigint)
        ON COMMIT DELETE ROWS;
END;
$$;

COMMENT ON FUNCTION imrec.create_stage IS
'Makes the staging tables of this session: COPY fills them, imrec.merge_stage() empties them.';
