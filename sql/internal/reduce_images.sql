-- Reduces the vectors of these images, or of all that lack it, where the feature has a reduction. It has to happen in
-- the transaction that stored the vectors, since searches look for candidates among the reduced ones. An image of a
-- block gets a row as well: then the row tells, and the block makes it a candidate at worst.
CREATE OR REPLACE FUNCTION imrec_internal.reduce_images(image_ids uuid[], OUT done bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    feature text;
    written bigint;
    wanted text;
BEGIN
    done := 0;
    FOR feature IN SELECT r.feature FROM imrec.reduction AS r ORDER BY r.feature LOOP
        wanted := CASE WHEN image_ids IS NULL THEN format(
            'LEFT JOIN (SELECT unnest(b.image_ids) AS image_id FROM imrec.%I AS b '
            'UNION ALL SELECT r.image_id FROM imrec.%I AS r) AS done ON done.image_id = f.image_id '
            'WHERE done.image_id IS NULL', feature || '_block', feature || '_reduced'
        ) ELSE 'WHERE f.image_id = ANY ($1)' END;
        EXECUTE format(
            'INSERT INTO imrec.%1$I AS r (image_id, reduced, norm, sums) '
            'SELECT f.image_id, (imrec_internal.reduce(%2$L, f.%2$I)).* FROM imrec.%2$I AS f %3$s ORDER BY f.image_id '
            'ON CONFLICT (image_id) DO UPDATE '
            'SET reduced = excluded.reduced, norm = excluded.norm, sums = excluded.sums',
            feature || '_reduced', feature, wanted
        ) USING image_ids;
        GET DIAGNOSTICS written = ROW_COUNT;
        done := done + written;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION imrec_internal.reduce_images(uuid[]) IS
'Reduces the vectors of these images, or of all that lack it; returns how many.';
