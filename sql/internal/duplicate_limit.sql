-- At each strictness, what still counts as alike: bits of two hashes (difference_hash and perceptual_hash) that must
-- both agree; the embedding's cosine distance where one hash agrees in all but three bits; the cosine distances of
-- embedding and histogram where no hash agrees, as of crops and mirrored copies. average_hash has no vote: among
-- 5 million pairs of unrelated photos and altered copies of 160 photos, a hundredth of a per cent was within one bit.
CREATE OR REPLACE VIEW imrec_internal.duplicate_limit WITH (security_invoker = true) AS
SELECT
    v.strictness,
    v.difference_bits,
    v.perceptual_bits,
    v.embedding,
    v.embedding_alone,
    v.histogram
FROM (
    VALUES
    ('strict', 3, 3, 0.05::double precision, 0.06::double precision, 0.02::double precision),
    ('normal', 6, 8, 0.12, 0.08, 0.03),
    ('loose', 8, 10, 0.2, 0.12, 0.1)
) AS v (strictness, difference_bits, perceptual_bits, embedding, embedding_alone, histogram);

COMMENT ON VIEW imrec_internal.duplicate_limit IS 'What counts as alike when duplicates are looked for.';
