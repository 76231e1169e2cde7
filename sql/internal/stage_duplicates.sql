-- Begins a search for duplicates: puts all images with both hashes into pg_temp.duplicate_stage, and into classes of
-- those whose hashes are the same, pg_temp.duplicate_class. Hashes of pictures without detail tell too little: these
-- are in a class when their strongest colour is the same too. Of a class of more than 20 images only the best is shown
-- to others, so that n pictures of one kind make n pairs; what is alike one of them is alike the best, by its hashes.
-- Adds the pairs within each class to pg_temp.duplicate_candidate. Returns how many images there are.
CREATE OR REPLACE FUNCTION imrec_internal.stage_duplicates()
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET work_mem = '64MB'
AS $$
BEGIN
    CREATE TEMP TABLE duplicate_candidate (image_id uuid, other_id uuid) ON COMMIT DROP;
    CREATE TEMP TABLE duplicate_near (code bigint, other bigint) ON COMMIT DROP;
    CREATE TEMP TABLE duplicate_stage ON COMMIT DROP AS
    SELECT d.image_id, d.difference_hash::bigint AS difference, p.perceptual_hash::bigint AS perceptual,
        imrec_internal.detailed(d.difference_hash) AS detailed, NULL::bigint AS colour
    FROM imrec.difference_hash AS d
    INNER JOIN imrec.perceptual_hash AS p ON p.image_id = d.image_id;
    UPDATE pg_temp.duplicate_stage AS s SET colour = (
        SELECT b.bin FROM unnest(h.histogram::real[]) WITH ORDINALITY AS b (share, bin) ORDER BY b.share DESC, b.bin LIMIT 1
    )
    FROM imrec.histogram AS h
    WHERE h.image_id = s.image_id AND NOT s.detailed;
    CREATE TEMP TABLE duplicate_class ON COMMIT DROP AS
    SELECT row_number() OVER () AS class, n.difference, n.perceptual, n.detailed, n.ids,
        CASE
            WHEN cardinality(n.ids) > 20
                THEN ARRAY(SELECT k.image_id FROM imrec_internal.keeper_order(n.ids) AS k ORDER BY k.place LIMIT 1)
            ELSE n.ids
        END AS shown
    FROM (
        SELECT s.difference, s.perceptual, s.detailed, array_agg(s.image_id) AS ids
        FROM pg_temp.duplicate_stage AS s
        GROUP BY s.difference, s.perceptual, s.detailed, s.colour
    ) AS n;
    ANALYZE pg_temp.duplicate_class;
    INSERT INTO pg_temp.duplicate_candidate (image_id, other_id)
    SELECT DISTINCT least(a.id, b.id), greatest(a.id, b.id)
    FROM pg_temp.duplicate_class AS c, unnest(c.ids) AS a (id), unnest(c.shown) AS b (id)
    WHERE cardinality(c.ids) > 1 AND a.id <> b.id;
    RETURN (SELECT count(*) FROM pg_temp.duplicate_stage);
END;
$$;

COMMENT ON FUNCTION imrec_internal.stage_duplicates() IS
'Begins a search for duplicates: temporary tables of the images, and of those whose hashes are the same.';
