-- The largest lower bound (imrec_internal.reduce) that an image can have which is within some distance of a vector of
-- this norm. Lower bounds are squares, but those of the Manhattan distance. Added to the distance are the errors
-- of all that is computed in between (docs/adr/0025): pgvector's sums in single precision, and values rounded to
-- half precision, of both vectors.
CREATE OR REPLACE FUNCTION imrec_internal.reduction_bound(
    metric text, within double precision, norm double precision
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE metric
        WHEN 'cosine' THEN (sqrt(2 * (greatest(within, 0) + 1e-4)) + 0.004) ^ 2
        WHEN 'euclidean' THEN (1.0001 * within + 0.004 * sqrt(norm * (norm + 1.0001 * within))) ^ 2
        WHEN 'manhattan' THEN 1.0001 * within + 0.0012
    END;
END;

COMMENT ON FUNCTION imrec_internal.reduction_bound(text, double precision, double precision) IS
'The largest lower bound that an image within a distance can have.';
