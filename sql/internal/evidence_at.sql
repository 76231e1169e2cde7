-- How much a distance speaks for an altered copy, in decibans: on the line between the two breakpoints around it,
-- beyond the first or last as much as there; NULL without a curve. One expression, which PostgreSQL inlines: a
-- fusion evaluates it a thousand times.
CREATE OR REPLACE FUNCTION imrec_internal.evidence_at(
    distance double precision, distances double precision[], evidence double precision[]
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN distance < distances[1] THEN evidence[1]
        WHEN distance >= distances[cardinality(distances)] THEN evidence[cardinality(distances)]
        ELSE
            evidence[width_bucket(distance, distances)]
            + (evidence[width_bucket(distance, distances) + 1] - evidence[width_bucket(distance, distances)])
            * (distance - distances[width_bucket(distance, distances)])
            / (distances[width_bucket(distance, distances) + 1] - distances[width_bucket(distance, distances)])
    END;
END;

COMMENT ON FUNCTION imrec_internal.evidence_at(double precision, double precision[], double precision[]) IS
'How much a distance speaks for an altered copy, in decibans, by a curve.';
