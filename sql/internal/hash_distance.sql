-- In how many bits two hashes differ; inlined.
CREATE OR REPLACE FUNCTION imrec_internal.hash_distance(a bit, b bit)
RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN pgvector.hamming_distance(hash_distance.a, hash_distance.b);

COMMENT ON FUNCTION imrec_internal.hash_distance(bit, bit) IS 'In how many bits two hashes differ.';
