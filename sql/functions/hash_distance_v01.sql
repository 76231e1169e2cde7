-- In how many bits two hashes differ; inlined. It finds pgvector's function when it is created, so a caller
-- needs no search path.
CREATE FUNCTION imrec.hash_distance(a bit, b bit)
RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN hamming_distance(hash_distance.a, hash_distance.b);

COMMENT ON FUNCTION imrec.hash_distance IS 'In how many bits two hashes differ.';
