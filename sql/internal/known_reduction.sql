-- How the vectors of a feature are reduced, if searches by this metric may rely on it: how many images a block has,
-- how many values each of these (dims, sums), how many candidates are looked at first where k are wanted, and how many
-- at most are worth it: each costs a row by its key.
CREATE OR REPLACE FUNCTION imrec_internal.known_reduction(
    feature text, metric text, k bigint,
    OUT block_images integer, OUT dims integer, OUT sums integer, OUT few bigint, OUT most bigint
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    worthwhile CONSTANT double precision := 0.04;
BEGIN
    SELECT r.block_images, r.dims, ceil(worthwhile * r.images), r.candidates * (greatest(k, 10) / 10.0) ^ r.growth + k
    INTO block_images, dims, most, few
    FROM imrec.reduction AS r
    WHERE r.feature = known_reduction.feature AND r.complete AND known_reduction.metric = ANY (r.metrics) AND k <= 1000;
    few := least(few, most + k);
    SELECT count(*) INTO sums FROM imrec.reduction_axis AS a
    WHERE a.feature = known_reduction.feature AND a.kind = 'sum';
END;
$$;

COMMENT ON FUNCTION imrec_internal.known_reduction(text, text, bigint) IS
'How the vectors of a feature are reduced, where k images are wanted; NULL where searches cannot rely on it.';
