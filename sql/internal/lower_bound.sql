-- The lower bound of the distance between a row f of a table of reduced vectors and the nearest of so many likes, as an
-- expression of $1 (reduced), $2 (norms) and $8 (sums): the square, but of the Manhattan distance. What has no lower
-- bound is always a candidate. A subselect is carried out once, where an element would be taken out of its array
-- for each row.
CREATE OR REPLACE FUNCTION imrec_internal.lower_bound(metric text, likes bigint)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT format('coalesce(least(%s), -1)', string_agg(format(
        CASE lower_bound.metric
            WHEN 'cosine' THEN 'pgvector.halfvec_l2_squared_distance(f.reduced, %1$s)'
            WHEN 'euclidean' THEN '(f.norm - %2$s) * (f.norm - %2$s) + f.norm * %2$s * %4$s(f.reduced, %1$s)'
            WHEN 'manhattan' THEN 'f.sums OPERATOR(pgvector.<+>) %3$s'
        END,
        format('(SELECT $1[%s])', n.number), format('(SELECT $2[%s])', n.number),
        format('(SELECT $8[%s])', n.number), 'pgvector.halfvec_l2_squared_distance'
    ), ', ')) FROM generate_series(1, likes) AS n (number);
END;

COMMENT ON FUNCTION imrec_internal.lower_bound(text, bigint) IS
'The lower bound of a distance, as an expression for the statements of imrec_internal.refined.';
