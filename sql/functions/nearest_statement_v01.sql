-- The statement that ranks images by their distances, as text for EXECUTE: an index serves only a plan that
-- knows table, operator and k. It is put together from the constants in here alone. Its parameters are $1 the
-- likes, $2 the dislikes, $3 the images to leave out, and those of the condition (imrec.filter_condition).
-- approximate orders by the bare distance, which an index serves; otherwise by something that none does.
CREATE FUNCTION imrec.nearest_statement(
    feature text, metric text, k bigint, likes integer, dislikes integer, combine text, condition text,
    approximate boolean
)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    relation CONSTANT text := CASE WHEN feature IN ('ahash', 'dhash') THEN 'hash' ELSE feature END;
    compared CONSTANT text := format(
        '(f.%I %s ', CASE feature WHEN 'ahash' THEN 'average_hash' WHEN 'dhash' THEN 'difference_hash' ELSE feature END,
        CASE metric WHEN 'cosine' THEN '<=>' WHEN 'euclidean' THEN '<->' WHEN 'manhattan' THEN '<+>' ELSE '<~>' END
    );
    near CONSTANT text[] := ARRAY(SELECT format('%s$1[%s])', compared, n) FROM generate_series(1, likes) AS n);
    far CONSTANT text[] := ARRAY(SELECT format('%s$2[%s])', compared, n) FROM generate_series(1, dislikes) AS n);
    -- Nearer to a dislike than to any like.
    disliked CONSTANT text := CASE WHEN combine = 'min' AND dislikes > 0 THEN
        format('least(%s) < least(%s)', array_to_string(far, ', '), array_to_string(near, ', ')) END;
    distance text := CASE WHEN likes > 1 THEN format('least(%s)', array_to_string(near, ', ')) ELSE near[1] END;
BEGIN
    IF combine = 'mean' THEN
        IF likes > 1 THEN
            distance := format('((%s) / %s)', array_to_string(near, ' + '), likes);
        END IF;
        IF dislikes > 0 THEN -- as in imrec.mean_query
            distance := format('(1.25 * %s - 0.25 * (%s) / %s)', distance, array_to_string(far, ' + '), dislikes);
        END IF;
    END IF;
    IF NOT approximate THEN
        RETURN format(
            -- The same expression in both places, or each distance is computed twice.
            'SELECT f.image_id, %1$s + 0 AS distance FROM imrec.%2$I AS f WHERE f.image_id <> ALL ($3)%3$s '
            'ORDER BY %4$s%1$s + 0, f.image_id LIMIT %5$s',
            distance, relation, condition, disliked || ', ', k
        );
    END IF;
    RETURN format('SELECT n.image_id, min(n.distance) AS distance FROM (%s) AS n GROUP BY 1 ORDER BY 2, 1 LIMIT %s', (
        SELECT string_agg(format(
            '(SELECT f.image_id, %1$s AS distance FROM imrec.%2$I AS f WHERE f.image_id <> ALL ($3)%3$s%4$s '
            'ORDER BY %1$s, f.image_id LIMIT %5$s)',
            n.distance, relation, condition, ' AND NOT (' || disliked || ')', k
        ), ' UNION ALL ') FROM unnest(near) AS n (distance)
    ), k);
END;
$$;

COMMENT ON FUNCTION imrec.nearest_statement IS
'The statement that ranks images; a part of imrec.nearest_vectors.';
