-- The k photos nearest to a feature, nearest first: a vector (embedding or histogram), 64 bits (a hash), or
-- either as text, as `imrec-pg embed` prints it. feature and metric: SELECT * FROM imrec.feature.
CREATE OR REPLACE FUNCTION imrec.search(
    query text, k bigint DEFAULT 5, feature text DEFAULT NULL, metric text DEFAULT NULL,
    filter jsonb DEFAULT '{}', among uuid[] DEFAULT NULL, method text DEFAULT 'auto'
)
RETURNS TABLE (
    rank bigint, distance double precision, path text, copies bigint, certainty text, image_id uuid, file_id uuid
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type CONSTANT text := CASE WHEN query ~ '^\s*\[' THEN 'vector' WHEN query ~ '^[01]+$' THEN 'bit' END;
    searched CONSTANT text := coalesce(feature, CASE type WHEN 'bit' THEN 'average_hash' ELSE 'embedding' END);
    known CONSTANT text := (SELECT f.type FROM imrec.feature AS f WHERE f.feature = searched);
BEGIN
    IF type IS NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('%s is no feature', coalesce(quote_literal(left(query, 40)), 'NULL')),
            HINT = 'A vector begins with [, a hash has 64 digits 0 and 1: imrec-pg embed prints the features of '
                'a file. imrec.similar_to takes the path of a stored photo.';
    ELSIF known <> type OR (type = 'bit' AND length(query) <> 64) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('%s cannot be compared with %s', CASE type WHEN 'bit'
                THEN format('a hash of %s bits', length(query)) ELSE 'a vector' END, searched),
            HINT = 'embedding and histogram are vectors of 512 numbers, hashes have 64 bits.';
    END IF;
    RETURN QUERY SELECT * FROM imrec.recommend(
        -- Of an unknown feature this is NULL, and the error says which there are.
        ARRAY[jsonb_populate_record(NULL::imrec.features, jsonb_build_object(searched, query))], '{}',
        k, searched, metric, 'mean', '{}', filter, among, method
    );
END;
$$;

COMMENT ON FUNCTION imrec.search(text, bigint, text, text, jsonb, uuid[], text) IS
'The k photos nearest to a feature as text, such as imrec-pg embed prints it.';

CREATE OR REPLACE FUNCTION imrec.search(
    query pgvector.vector, k bigint DEFAULT 5, feature text DEFAULT 'embedding', metric text DEFAULT NULL,
    filter jsonb DEFAULT '{}', among uuid[] DEFAULT NULL, method text DEFAULT 'auto'
)
RETURNS TABLE (
    rank bigint, distance double precision, path text, copies bigint, certainty text, image_id uuid, file_id uuid
)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 10
BEGIN ATOMIC
    SELECT * FROM imrec.search($1::text, $2, $3, $4, $5, $6, $7);
END;

COMMENT ON FUNCTION imrec.search(pgvector.vector, bigint, text, text, jsonb, uuid[], text) IS
'The k photos nearest to a vector, nearest first, and whether these are certainly the nearest.';

CREATE OR REPLACE FUNCTION imrec.search(
    query bit, k bigint DEFAULT 5, feature text DEFAULT 'average_hash', metric text DEFAULT NULL,
    filter jsonb DEFAULT '{}', among uuid[] DEFAULT NULL
)
RETURNS TABLE (
    rank bigint, distance double precision, path text, copies bigint, certainty text, image_id uuid, file_id uuid
)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 10
BEGIN ATOMIC
    SELECT * FROM imrec.search($1::text, $2, $3, $4, $5, $6, 'exact');
END;

COMMENT ON FUNCTION imrec.search(bit, bigint, text, text, jsonb, uuid[]) IS
'The k photos whose hash differs from the query in the fewest bits, fewest first; always exact.';
