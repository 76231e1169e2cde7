-- What is known of each of these files (arrays of equal length), in their order:
--   new         never seen
--   changed     seen with another size or modification time
--   incomplete  unchanged, but its image lacks one of the wanted features, or with refresh has an outdated one
--   unchanged   nothing to do
--   failed      could not be read, and has not changed since; "new" or "changed" when retry is asked for
-- versions are the present ones of the wanted features.
CREATE OR REPLACE FUNCTION imrec_internal.file_state(
    file_ids uuid[], sizes bigint[], mtimes_ns bigint[], wanted text[], versions integer[],
    retry boolean, refresh boolean
)
RETURNS TABLE (state text)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH asked AS MATERIALIZED (
        SELECT
            a.file_id,
            a.size,
            a.mtime_ns,
            a.place,
            f.image_id,
            f.size AS known_size,
            f.mtime_ns AS known_mtime
        FROM
            unnest(file_state.file_ids, file_state.sizes, file_state.mtimes_ns)
            WITH ORDINALITY AS a (file_id, size, mtime_ns, place)
        LEFT JOIN imrec.file AS f ON a.file_id = f.file_id
    ),

    complete AS MATERIALIZED (
        SELECT s.image_id
        FROM imrec_internal.stored_feature AS s
        INNER JOIN unnest(file_state.wanted, file_state.versions) AS w (feature, version) ON s.feature = w.feature
        WHERE
            s.image_id = any(array(SELECT a.image_id FROM asked AS a))
            AND (NOT file_state.refresh OR s.version >= w.version)
        GROUP BY s.image_id
        HAVING count(*) = cardinality(file_state.wanted)
    )

    SELECT
        CASE
            WHEN NOT file_state.retry AND failure.size = a.size AND failure.mtime_ns = a.mtime_ns THEN 'failed'
            WHEN a.image_id IS NULL THEN 'new'
            WHEN a.known_size <> a.size OR a.known_mtime <> a.mtime_ns THEN 'changed'
            WHEN complete.image_id IS NULL AND cardinality(file_state.wanted) > 0 THEN 'incomplete'
            ELSE 'unchanged'
        END AS state
    FROM asked AS a
    LEFT JOIN complete ON a.image_id = complete.image_id
    LEFT JOIN imrec.failure ON a.file_id = failure.file_id
    ORDER BY a.place;
END;

COMMENT ON FUNCTION imrec_internal.file_state(uuid[], bigint[], bigint[], text[], integer[], boolean, boolean) IS
'What is known of each file, in order: new, changed, incomplete, unchanged or failed.';
