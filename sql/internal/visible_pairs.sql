-- The pairs of near copies both of which a reader of some roots sees, with what people said of the two; without a kind
-- where they are said to be the same and are no pair. All pairs are read from end to end: how many an index gave for an
-- image of the reader would tell of hidden ones.
CREATE OR REPLACE FUNCTION imrec_internal.visible_pairs(reader name)
RETURNS TABLE (
    image_id uuid, other_id uuid, kind text, verdict text, difference_bits smallint, perceptual_bits smallint,
    embedding double precision, histogram double precision
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET enable_mergejoin = off
SET enable_hashjoin = on
SET enable_nestloop = on
SET enable_seqscan = on
SET enable_indexscan = off
SET enable_indexonlyscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    roots CONSTANT uuid[] := imrec_internal.reader_roots(reader);
    seen CONSTANT uuid[] := ARRAY(SELECT DISTINCT f.image_id FROM imrec.file AS f WHERE f.root_id = ANY (roots));
BEGIN
    RETURN QUERY
    WITH pair AS MATERIALIZED (
        SELECT p.* FROM imrec.duplicate_pair AS p WHERE p.image_id = ANY (seen) AND p.other_id = ANY (seen)
    ),
    said AS MATERIALIZED (
        SELECT v.* FROM imrec.duplicate_verdict AS v WHERE v.image_id = ANY (seen) AND v.other_id = ANY (seen)
    )
    SELECT coalesce(p.image_id, s.image_id), coalesce(p.other_id, s.other_id), p.kind, s.verdict, p.difference_bits,
        p.perceptual_bits, p.embedding, p.histogram
    FROM pair AS p
    FULL JOIN said AS s ON s.image_id = p.image_id AND s.other_id = p.other_id;
END;
$$;

COMMENT ON FUNCTION imrec_internal.visible_pairs(name) IS
'The pairs of near copies both of which a reader of some roots sees, with what people said of them.';
