-- Moves pg_temp.duplicate_found into imrec.duplicate_pair; returns how many pairs were not there before.
CREATE OR REPLACE FUNCTION imrec_internal.store_duplicates()
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    added bigint;
BEGIN
    WITH stored AS (
        INSERT INTO imrec.duplicate_pair AS s (
            image_id, other_id, average_bits, difference_bits, perceptual_bits, embedding, histogram, kind
        )
        SELECT k.image_id, k.other_id, k.average_bits, k.difference_bits, k.perceptual_bits, k.embedding, k.histogram,
            k.kind
        FROM pg_temp.duplicate_found AS k ORDER BY k.image_id, k.other_id
        ON CONFLICT (image_id, other_id) DO UPDATE SET kind = excluded.kind, average_bits = excluded.average_bits,
            difference_bits = excluded.difference_bits, perceptual_bits = excluded.perceptual_bits,
            embedding = excluded.embedding, histogram = excluded.histogram
        RETURNING s.xmax = 0 AS is_new
    )
    SELECT count(*) FILTER (WHERE s.is_new) INTO added FROM stored AS s;
    DROP TABLE pg_temp.duplicate_found;
    RETURN added;
END;
$$;

COMMENT ON FUNCTION imrec_internal.store_duplicates() IS
'Stores the pairs that a search for duplicates has kept; returns how many are new.';
