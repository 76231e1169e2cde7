-- Drops from the stage the files to which this ingest has no claim any more: another one took them over, for
-- it believed this one dead, or the same batch was stored before and only the answer was lost. The other
-- claims end with this transaction. Returns how many files were dropped.
CREATE FUNCTION imrec.fence_stage()
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    lost uuid[];
    kept uuid[];
BEGIN
    WITH held AS MATERIALIZED (
        SELECT c.location_id FROM imrec.claim AS c
        INNER JOIN pg_temp.stage_claim AS s ON s.location_id = c.location_id AND s.token = c.token
        ORDER BY c.location_id FOR UPDATE OF c
    ),
    ended AS (
        DELETE FROM imrec.claim AS c USING held WHERE c.location_id = held.location_id
        RETURNING c.location_id
    )
    SELECT array_agg(s.location_id) INTO lost FROM pg_temp.stage_claim AS s
    WHERE s.location_id NOT IN (SELECT ended.location_id FROM ended);
    IF lost IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM pg_temp.stage_location WHERE location_id = ANY (lost);
    DELETE FROM pg_temp.stage_failure WHERE location_id = ANY (lost);
    -- No image without a place, and no feature without an image.
    kept := ARRAY(SELECT l.image_id FROM pg_temp.stage_location AS l);
    DELETE FROM pg_temp.stage_image WHERE image_id <> ALL (kept);
    DELETE FROM pg_temp.stage_embedding WHERE image_id <> ALL (kept);
    DELETE FROM pg_temp.stage_histogram WHERE image_id <> ALL (kept);
    DELETE FROM pg_temp.stage_hash WHERE image_id <> ALL (kept);
    RETURN cardinality(lost);
END;
$$;

COMMENT ON FUNCTION imrec.fence_stage IS
'Drops from the stage what another ingest has taken over; returns how many files.';
