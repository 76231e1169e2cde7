-- imrec.fuse for a reader of some roots: as if there were no other photos.
CREATE OR REPLACE FUNCTION imrec_internal.visible_fuse(
    reader name, likes imrec.features[], dislikes imrec.features[], k bigint, weights jsonb, combine text,
    exclude uuid[], filter jsonb, among uuid[], method text, fusion text
)
RETURNS TABLE (
    rank bigint, fused double precision, path text, copies bigint, certainty text, image_id uuid, file_id uuid,
    features jsonb
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET enable_mergejoin = off
SET enable_hashjoin = on
SET enable_nestloop = on
SET enable_indexscan = on
AS $$
DECLARE
    roots CONSTANT uuid[] := imrec_internal.reader_roots(reader);
BEGIN
    RETURN QUERY
    WITH n AS MATERIALIZED (
        SELECT * FROM imrec_internal.fused(
            likes, dislikes, k, weights, combine, exclude, filter, among, method, roots, fusion
        )
    )
    SELECT n.rank, n.fused, f.path, f.copies, n.certainty, n.image_id, f.file_id, n.features
    FROM n INNER JOIN imrec_internal.visible_files(roots, ARRAY(SELECT n.image_id FROM n)) AS f
        ON f.image_id = n.image_id
    ORDER BY n.rank;
END;
$$;

COMMENT ON FUNCTION imrec_internal.visible_fuse(
    name, imrec.features[], imrec.features[], bigint, jsonb, text, uuid[], jsonb, uuid[], text, text
) IS 'imrec.fuse for a reader of some roots: as if there were no other photos.';
