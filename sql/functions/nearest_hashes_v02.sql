-- The k images whose hash is nearest to the queries, by Hamming distance; exact. combine = mean ranks by the
-- mean distance to the likes, since hashes have no mean, plus a quarter of what that exceeds the mean
-- distance to the dislikes by; min by the distance to the nearest like, what is nearer to a dislike coming
-- last.
CREATE OR REPLACE FUNCTION imrec.nearest_hashes(
    positive bit[], negative bit[], feature text, metric text, k bigint, combine text, exclude uuid[],
    filter jsonb, among uuid[]
)
RETURNS TABLE (rank bigint, image_id uuid, distance double precision, answer text)
-- UNSAFE keeps the calling query serial: only then may the scan in here be parallel.
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
SET jit = off
AS $$
DECLARE
    condition text;
    query bit(64);
BEGIN
    metric := imrec.check_question(feature, metric, k, 'exact', combine);
    IF metric <> 'hamming' THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s is a vector, not 64 bits', feature);
    END IF;
    IF cardinality(positive) > 0 IS NOT TRUE OR array_position(positive || negative, NULL) IS NOT NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('one of the images has no %s', feature),
            HINT = 'imrec-pg status says what is missing, imrec-pg ingest computes it.';
    END IF;
    FOREACH query IN ARRAY positive || negative LOOP
        PERFORM imrec.hamming_check(query, feature);
    END LOOP;
    filter := coalesce(filter, '{}');
    among := coalesce(imrec.own_images(among), among);
    condition := imrec.filter_condition(filter, among IS NOT NULL, false);
    IF condition = '' AND cardinality(negative) = 0 AND (combine = 'min' OR cardinality(positive) = 1)
        AND NOT imrec.restricted() -- from whom the indexes on hashes are kept: one scan is faster than two
    THEN
        RETURN QUERY
        SELECT row_number() OVER (ORDER BY min(n.distance), n.image_id), n.image_id,
            min(n.distance)::double precision, 'exact'
        FROM unnest(positive) AS q (code)
        CROSS JOIN LATERAL imrec.hamming_search(q.code, k::integer, feature, exclude) AS n
        GROUP BY n.image_id ORDER BY 1 LIMIT k;
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT row_number() OVER (), n.image_id, n.distance, ''exact'' FROM (%s) AS n',
        imrec.nearest_statement(
            feature, metric, k, cardinality(positive), cardinality(negative), combine, condition, false
        )
    ) USING positive, negative, exclude, filter, among;
END;
$$;

COMMENT ON FUNCTION imrec.nearest_hashes IS
'The k images whose hash is nearest to likes and far from dislikes, exact; imrec.search is simpler.';
