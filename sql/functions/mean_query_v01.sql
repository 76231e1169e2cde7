-- The one vector that stands for likes and dislikes: the likes' mean, moved away from the dislikes' by a
-- quarter of the way between the two. That is Rocchio's formula (1971) with the usual weights, 0.75 for likes
-- and 0.15 for dislikes (Manning, Raghavan and Schuetze 2008, chapter 9), scaled so as to stay among the
-- images.
CREATE FUNCTION imrec.mean_query(positive vector[], negative vector[])
RETURNS vector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN n.mean IS NULL THEN p.mean
        ELSE p.mean + (p.mean - n.mean) * array_fill(0.25::real, ARRAY[vector_dims(p.mean)])::vector END
    FROM (SELECT avg(v) AS mean FROM unnest(mean_query.positive) AS u (v)) AS p,
        (SELECT avg(v) AS mean FROM unnest(mean_query.negative) AS u (v)) AS n
$$;

COMMENT ON FUNCTION imrec.mean_query IS 'The one vector that stands for likes and dislikes (Rocchio).';
