-- The lower bounds of the distances between the images of a row b of a table of blocks and the nearest of so many
-- likes, as expressions of $1 (reduced), $2 (norms) and $8 (sums), as those of imrec_internal.lower_bound: every one
-- is an array, an image each, and nearest is the least of them. The lengths of a block stand for those of its images.
CREATE OR REPLACE FUNCTION imrec_internal.block_bounds(
    metric text, likes bigint, images integer, dims integer, sums integer, OUT nearest text, OUT every text
)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- %1$s is the like's number, %2$s where an image begins.
    apart CONSTANT text := CASE metric WHEN 'manhattan'
        THEN format('(pgvector.subvector(b.sums, %%2$s, %s) OPERATOR(pgvector.<+>) (SELECT $8[%%1$s]))', sums)
        ELSE format('pgvector.halfvec_l2_squared_distance(pgvector.subvector(b.reduced, %%2$s, %s), (SELECT $1[%%1$s]))',
            dims) END;
    gap CONSTANT text := 'greatest(b.least_norm - (SELECT $2[%1$s]), (SELECT $2[%1$s]) - b.largest_norm, 0)';
    whole CONSTANT text := CASE metric WHEN 'euclidean'
        THEN format('(%1$s * %1$s + b.least_norm * (SELECT $2[%%1$s]) * %%2$s)', gap) ELSE '%2$s' END;
    width CONSTANT integer := CASE metric WHEN 'manhattan' THEN sums ELSE dims END;
BEGIN
    SELECT format('least(%s)', string_agg(format(whole, l.number, (
        SELECT format('least(%s)', string_agg(format(apart, l.number, 1 + width * i.number), ', '))
        FROM generate_series(0, images - 1) AS i (number)
    )), ', ')) INTO nearest FROM generate_series(1, likes) AS l (number);
    SELECT format('ARRAY[%s]', string_agg((
        SELECT format('least(%s)', string_agg(format(whole, l.number, format(apart, l.number, 1 + width * i.number)), ', '))
        FROM generate_series(1, likes) AS l (number)
    ), ', ' ORDER BY i.number)) INTO every FROM generate_series(0, images - 1) AS i (number);
END;
$$;

COMMENT ON FUNCTION imrec_internal.block_bounds(text, bigint, integer, integer, integer) IS
'The lower bounds of the distances of a block of images, as expressions for the statements of imrec_internal.refined.';
