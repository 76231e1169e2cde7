-- imrec.recommend for a reader of some roots: as if there were no other photos. All that it sees are compared: an
-- index shared with others tells how near theirs are.
CREATE OR REPLACE FUNCTION imrec_internal.visible_recommend(
    reader name, likes imrec.features[], dislikes imrec.features[], k bigint, feature text, metric text, combine text,
    exclude uuid[], filter jsonb, among uuid[], method text
)
RETURNS TABLE (
    rank bigint, distance double precision, path text, copies bigint, certainty text, image_id uuid, file_id uuid
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
        SELECT * FROM imrec_internal.nearest(
            likes, dislikes, feature, metric, k, combine, exclude, filter, among, method, roots
        )
    )
    SELECT n.rank, n.distance, f.path, f.copies, n.certainty, n.image_id, f.file_id
    FROM n INNER JOIN imrec_internal.visible_files(roots, ARRAY(SELECT n.image_id FROM n)) AS f
        ON f.image_id = n.image_id
    ORDER BY n.rank;
END;
$$;

COMMENT ON FUNCTION imrec_internal.visible_recommend(
    name, imrec.features[], imrec.features[], bigint, text, text, text, uuid[], jsonb, uuid[], text
) IS 'imrec.recommend for a reader of some roots: as if there were no other photos.';
