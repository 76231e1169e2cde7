-- How much each distance speaks for "the same picture, altered", in decibans, as imrec-pg tune fuse fitted it on
-- photos of free licence: those in scikit-image and two in scikit-learn (docs/adr/0026). What is fitted on the
-- user's own photos, in imrec.evidence, stands in for it.
CREATE OR REPLACE VIEW imrec_internal.shipped_evidence WITH (security_invoker = true) AS
SELECT
    s.feature,
    s.metric,
    s.distances,
    s.evidence
FROM (
    VALUES
    (
        'embedding', 'cosine',
        ARRAY[
            0.1065, 0.2218, 0.2308, 0.2408, 0.2534, 0.2619, 0.2732, 0.2919, 0.3055, 0.315, 0.3211, 0.3279,
            0.3391, 0.3475, 0.3556, 0.3666, 0.388, 0.4119, 0.4286, 0.4443, 0.4788, 0.5255, 0.5899, 0.718
        ]::double precision[],
        ARRAY[
            55.4, 33.6, 28.9, 26.1, 24.1, 21.3, 15.4, 10.8, 9.3, 8.7, 8.0, 6.8, 5.8, 5.8, 3.5, 3.2, -1.1,
            -2.5, -3.3, -4.8, -7.7, -11.1, -13.4, -20.4
        ]::double precision[]
    ),
    (
        'histogram', 'manhattan',
        ARRAY[
            0.05575, 0.1148, 0.1193, 0.1311, 0.1465, 0.1662, 0.3702, 0.6208, 0.6859, 0.7016, 0.7175, 0.7828,
            1.076, 1.333, 1.391, 1.492, 1.57, 1.615, 1.733, 1.904, 1.996
        ]::double precision[],
        ARRAY[
            51.1, 26.3, 24.1, 21.1, 17.9, 13.4, 12.1, 9.7, 8.6, 7.1, 7.0, 5.4, 1.8, 1.0, -1.4, -1.6, -3.2,
            -5.8, -7.1, -9.8, -11.1
        ]::double precision[]
    ),
    (
        'average_hash', 'hamming',
        ARRAY[
            0.5, 2, 3, 4, 5, 6, 7.5, 9.5, 11.5, 13.5, 15.5, 17, 19, 21.5, 24.5, 28, 31, 33.5, 48.5
        ]::double precision[],
        ARRAY[
            52.2, 33.4, 32.9, 30.3, 22.7, 21.2, 18.1, 12.3, 10.9, 6.5, 5.6, 3.7, 1.3, -0.2, -3.2, -3.3,
            -3.9, -5.8, -6.2
        ]::double precision[]
    ),
    (
        'difference_hash', 'hamming',
        ARRAY[
            3, 7.5, 9.5, 11.5, 13.5, 15.5, 17.5, 19, 20.5, 22, 23, 24, 25, 26, 27, 28, 31, 34, 38.5, 51
        ]::double precision[],
        ARRAY[
            53.7, 31.6, 21.5, 20.8, 17.7, 14.5, 11.1, 7.0, 4.6, 2.7, 0.8, 0.2, -0.7, -2.2, -2.4, -2.9, -4.7,
            -5.7, -6.0, -8.5
        ]::double precision[]
    ),
    (
        'perceptual_hash', 'hamming',
        ARRAY[
            4, 12, 16, 18, 20, 23, 26, 30, 42
        ]::double precision[],
        ARRAY[
            53.9, 30.5, 15.5, 11.9, 10.1, 0.4, -2.0, -4.1, -5.7
        ]::double precision[]
    )
) AS s (feature, metric, distances, evidence);

COMMENT ON VIEW imrec_internal.shipped_evidence IS
'How much each distance speaks for an altered copy, unless imrec-pg tune fuse measured it.';
