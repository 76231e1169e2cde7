-- The lower bound of the distance between a row f of a table of reduced vectors and the nearest of so many likes, as an
-- expression of $1 (reduced), $2 (norms) and $8 (sums): the square, but of the Manhattan distance. What has no lower
-- bound is always a candidate.
CREATE OR REPLACE FUNCTION imrec_internal.lower_bound(metric text, likes bigint)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT format('coalesce(least(%s), -1)', string_agg(format(
        -- A subselect is carried out once, an element taken out of its array for each row.
        CASE metric
            WHEN 'cosine' THEN 'pgvector.halfvec_l2_squared_distance(f.reduced, (SELECT $1[%1$s]))'
            WHEN 'euclidean' THEN
                '(f.norm - (SELECT $2[%1$s])) * (f.norm - (SELECT $2[%1$s])) + f.norm * (SELECT $2[%1$s])'
                ' * pgvector.halfvec_l2_squared_distance(f.reduced, (SELECT $1[%1$s]))'
            WHEN 'manhattan' THEN 'f.sums OPERATOR(pgvector.<+>) (SELECT $8[%1$s])'
        END, n
    ), ', ')) FROM generate_series(1, likes) AS n;
END;

COMMENT ON FUNCTION imrec_internal.lower_bound(text, bigint) IS
'The lower bound of a distance, as an expression for the statements of imrec_internal.refined.';
