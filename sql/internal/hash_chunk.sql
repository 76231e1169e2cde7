-- One of four interleaved quarters of a 64-bit hash, chunk 0 to 3: the cells of every second row and every
-- second column. Quarters of two rows each, the textbook's choice, repeat far more often in photos (skies,
-- floors): to find all within 7 bits, 11,200 of 450,000 rows had to be read instead of 1,700.
-- PostgreSQL inlines it, in indexes too; whoever changes it has to build those anew.
CREATE OR REPLACE FUNCTION imrec_internal.hash_chunk(hash bit(64), chunk integer)
RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
-- Shifts of 0, 1, 8 and 9; 23925738098196565 is 0x0055005500550055.
RETURN (hash_chunk.hash::bigint >> (hash_chunk.chunk % 2 + hash_chunk.chunk / 2 * 8)) & 23925738098196565;

COMMENT ON FUNCTION imrec_internal.hash_chunk(bit, integer) IS
'16 of the 64 bits of a hash, spread over the photo; chunks 0 to 3 are its four quarters.';
