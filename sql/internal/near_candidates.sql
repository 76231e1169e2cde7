-- Turns pg_temp.duplicate_near, which it empties, into pairs of images in pg_temp.duplicate_candidate: of the classes
-- with these codes of a hash, or with the same one, those of which the hashes speak for copies at this strictness.
CREATE OR REPLACE FUNCTION imrec_internal.near_candidates(feature text, strictness text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET work_mem = '64MB'
SET enable_mergejoin = off
AS $$
DECLARE
    most CONSTANT imrec_internal.duplicate_limit := imrec_internal.limit_of(strictness);
BEGIN
    CREATE TEMP TABLE duplicate_of_code ON COMMIT DROP AS
    SELECT CASE feature WHEN 'difference_hash' THEN c.difference ELSE c.perceptual END AS code, c.*
    FROM pg_temp.duplicate_class AS c
    WHERE c.detailed;
    INSERT INTO pg_temp.duplicate_near (code, other)
    SELECT c.code, c.code FROM pg_temp.duplicate_of_code AS c GROUP BY c.code HAVING count(*) > 1;
    ANALYZE pg_temp.duplicate_near;
    ANALYZE pg_temp.duplicate_of_code;
    WITH near AS MATERIALIZED (
        SELECT a.ids, a.shown, b.ids AS other_ids, b.shown AS other_shown
        FROM (SELECT DISTINCT code, other FROM pg_temp.duplicate_near) AS n
        INNER JOIN pg_temp.duplicate_of_code AS a ON a.code = n.code
        INNER JOIN pg_temp.duplicate_of_code AS b ON b.code = n.other
        WHERE (n.code <> n.other OR a.class < b.class) AND imrec_internal.hashes_agree(
            bit_count((a.difference # b.difference)::bit(64)), bit_count((a.perceptual # b.perceptual)::bit(64)),
            most
        )
    )
    INSERT INTO pg_temp.duplicate_candidate (image_id, other_id)
    SELECT least(a.id, b.id), greatest(a.id, b.id) FROM near AS n, unnest(n.ids) AS a (id), unnest(n.other_shown) AS b (id)
    UNION
    SELECT least(a.id, b.id), greatest(a.id, b.id) FROM near AS n, unnest(n.shown) AS a (id), unnest(n.other_ids) AS b (id)
    WHERE cardinality(n.shown) < cardinality(n.ids) OR cardinality(n.other_shown) < cardinality(n.other_ids);
    DROP TABLE pg_temp.duplicate_of_code, pg_temp.duplicate_code;
    TRUNCATE pg_temp.duplicate_near;
END;
$$;

COMMENT ON FUNCTION imrec_internal.near_candidates(text, text) IS
'Adds the images with the codes found to be near to the candidates of a search for duplicates.';
