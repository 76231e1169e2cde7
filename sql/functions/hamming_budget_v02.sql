-- What a search by chunks may cost before it gives up for a scan, in rows read through an index: one takes
-- 0.2 us, four times a row of a scan. So a twelfth of the table is a third of a scan's time.
-- Statistics may be missing, or older than a bulk load: only the table's size on disk is always true.
-- Nothing, where row-level security hides rows: the indexes cannot be used then, and each look into one would
-- be a scan.
CREATE OR REPLACE FUNCTION imrec.hamming_budget(OUT budget double precision, OUT row_cost double precision)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    pages CONSTANT double precision := pg_catalog.pg_relation_size('imrec.hash')
        / current_setting('block_size')::integer;
BEGIN
    -- 107 rows a page. 0.3 ms go whatever the size: a small table is scanned at once.
    budget := CASE WHEN imrec.restricted() THEN 0 ELSE 107 * pages / 12 - 1500 END;
    -- Where VACUUM has not seen a page since it changed, the row is looked up in the table too, in 1 us.
    row_cost := 6 - 5 * least(1, (
        SELECT c.relallvisible / greatest(pages, 1)
        FROM pg_catalog.pg_class AS c WHERE c.oid = 'imrec.hash'::pg_catalog.regclass
    ));
END;
$$;

COMMENT ON FUNCTION imrec.hamming_budget IS
'When imrec.hamming_near gives up for a scan, in rows read through an index, and what one of them costs.';
