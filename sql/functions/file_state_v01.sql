-- What is known of each of these files (three arrays of equal length), in their order:
--   new         never seen
--   changed     seen with another size or modification time
--   incomplete  unchanged, but its image lacks one of the wanted features
--   unchanged   nothing to do
--   failed      could not be read, and has not changed since; "new" or "changed" when retry is asked for
CREATE FUNCTION imrec.file_state(
    location_ids uuid[], sizes bigint[], mtimes_ns bigint[], wanted text[], retry boolean
)
RETURNS TABLE (state text)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        CASE
            WHEN
                NOT file_state.retry
                AND failure.bytes = asked.bytes AND failure.mtime_ns = asked.mtime_ns
                THEN 'failed'
            WHEN location.location_id IS NULL THEN 'new'
            WHEN location.bytes <> asked.bytes OR location.mtime_ns <> asked.mtime_ns THEN 'changed'
            WHEN
                ('embedding' = any(file_state.wanted) AND embedding.image_id IS NULL)
                OR ('histogram' = any(file_state.wanted) AND histogram.image_id IS NULL)
                OR ('hash' = any(file_state.wanted) AND hash.image_id IS NULL)
                THEN 'incomplete'
            ELSE 'unchanged'
        END AS state
    FROM
        unnest(file_state.location_ids, file_state.sizes, file_state.mtimes_ns)
        WITH ORDINALITY AS asked (location_id, bytes, mtime_ns, place)
    LEFT JOIN imrec.location ON asked.location_id = location.location_id
    LEFT JOIN imrec.failure ON asked.location_id = failure.location_id
    LEFT JOIN imrec.embedding ON location.image_id = embedding.image_id
    LEFT JOIN imrec.histogram ON location.image_id = histogram.image_id
    LEFT JOIN imrec.hash ON location.image_id = hash.image_id
    ORDER BY asked.place;
END;

COMMENT ON FUNCTION imrec.file_state IS
'What is known of each file, in order: new, changed, incomplete, unchanged or failed.';
