-- How much a distance speaks for an altered copy, in decibans: on the line between the two breakpoints around it,
-- beyond the first or last as much as there; NULL without a curve.
CREATE OR REPLACE FUNCTION imrec_internal.evidence_at(
    distance double precision, distances double precision[], evidence double precision[]
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN b.place = 0 THEN evidence[1]
        WHEN b.place = cardinality(distances) THEN evidence[b.place]
        ELSE evidence[b.place] + (evidence[b.place + 1] - evidence[b.place])
            * (distance - distances[b.place]) / (distances[b.place + 1] - distances[b.place])
    END
    FROM (SELECT width_bucket(distance, distances) AS place) AS b;
END;

COMMENT ON FUNCTION imrec_internal.evidence_at(double precision, double precision[], double precision[]) IS
'How much a distance speaks for an altered copy, in decibans, by a curve.';
