-- At each strictness, what counts as alike. Hashes agree when the difference_hash differs in at most difference_bits
-- and the perceptual_hash in at most perceptual_bits; or when one of them differs in at most near_bits, the other in at
-- most other_bits, and the embedding's cosine distance is at most embedding. Where no hash agrees, as of crops and
-- mirrored copies: the cosine distances of embedding and histogram. The search finds all pairs for which the hashes
-- speak, so each bit more in difference_bits or near_bits makes it slower (imrec_internal.hash_masks). average_hash has
-- no vote: of 5 million pairs of unrelated photos and altered copies, a hundredth of a per cent was within one bit.
CREATE OR REPLACE VIEW imrec_internal.duplicate_limit WITH (security_invoker = true) AS
SELECT
    v.strictness,
    v.difference_bits,
    v.perceptual_bits,
    v.near_bits,
    v.other_bits,
    v.embedding,
    v.embedding_alone,
    v.histogram
FROM (
    VALUES
    ('strict', 3, 3, 3, 16, 0.05::double precision, 0.06::double precision, 0.02::double precision),
    ('normal', 6, 8, 4, 16, 0.12, 0.08, 0.03),
    ('loose', 6, 10, 5, 16, 0.2, 0.12, 0.1)
) AS v (strictness, difference_bits, perceptual_bits, near_bits, other_bits, embedding, embedding_alone, histogram);

COMMENT ON VIEW imrec_internal.duplicate_limit IS 'What counts as alike when duplicates are looked for.';
