-- A vector with fewer dimensions, such that the distance of two of them is a lower bound of the distance of the vectors
-- (docs/adr/0025). NULL for what has no bound: by the feature's reduction there is none, or the vector is too
-- large, too small, or no histogram.
--
-- reduced: the vector at length 1 less the mean, on the principal components; behind them the length of what
-- they leave out, 0.1 at least. norm: of the vector. sums: of groups of bins, of a histogram.
CREATE OR REPLACE FUNCTION imrec_internal.reduce(
    feature text, whole pgvector.vector,
    OUT reduced pgvector.halfvec, OUT norm double precision, OUT sums pgvector.halfvec
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    centred pgvector.vector;
    parts double precision[];
    -- That of what is left of a short vector would be mostly rounding errors.
    least CONSTANT double precision := 0.1;
BEGIN
    norm := pgvector.vector_norm(whole);
    -- Outside of these pgvector's own sums of squares overflow, or vanish.
    IF norm BETWEEN 1e-15 AND 1e15 THEN
        SELECT pgvector.l2_normalize(whole) OPERATOR(pgvector.-) a.direction INTO centred
        FROM imrec.reduction_axis AS a WHERE a.feature = reduce.feature AND a.kind = 'mean';
        SELECT array_agg(- (centred OPERATOR(pgvector.<#>) a.direction) ORDER BY a.axis) INTO parts
        FROM imrec.reduction_axis AS a WHERE a.feature = reduce.feature AND a.kind = 'component';
        reduced := (parts || greatest(least, sqrt(greatest(0, pgvector.vector_norm(centred) ^ 2 - (
            SELECT sum(p.part ^ 2) FROM unnest(parts) AS p (part)
        )))))::pgvector.halfvec;
        SELECT array_agg(- (whole OPERATOR(pgvector.<#>) a.direction) ORDER BY a.axis)::pgvector.halfvec INTO sums
        FROM imrec.reduction_axis AS a WHERE a.feature = reduce.feature AND a.kind = 'sum'
            AND whole OPERATOR(pgvector.<+>) (whole OPERATOR(pgvector.-) whole) <= 1.001;
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec_internal.reduce(text, pgvector.vector) IS
'A vector with fewer dimensions, whose distances are lower bounds.';
