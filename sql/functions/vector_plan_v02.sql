-- How a search by vectors is to be answered: whether by the index, with which ef_search, under which
-- condition, and among which images, when the filter or row-level security lets only a few through. A session
-- may SET imrec.ef_search, else imrec.tuning says it, and imrec.few_images.
CREATE OR REPLACE FUNCTION imrec.vector_plan(
    feature text, metric text, k bigint, filter jsonb, among uuid[], method text,
    OUT approximate boolean, OUT ef_search integer, OUT images uuid[], OUT filtered text, OUT walked text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    -- To compare so many takes 25 ms.
    few CONSTANT bigint := coalesce(nullif(current_setting('imrec.few_images', true), '')::bigint, 5000);
    -- Beyond this k, walking the graph costs more than comparing all (ef_search ends at 1,000).
    most CONSTANT bigint := 400;
    own CONSTANT uuid[] := imrec.own_images(among);
BEGIN
    images := coalesce(own, among);
    approximate := own IS NULL AND method <> 'exact' AND k <= most AND imrec.index_for(feature, metric) IS NOT NULL;
    filtered := imrec.filter_condition(filter, images IS NOT NULL, false);
    IF approximate AND filtered <> '' THEN
        images := imrec.filtered_images(filter, among, few);
        IF images IS NULL THEN
            images := among;
        ELSE
            approximate := false;
            filtered := imrec.filter_condition('{}', true, false);
        END IF;
    END IF;
    walked := imrec.filter_condition(filter, among IS NOT NULL, true);
    ef_search := nullif(current_setting('imrec.ef_search', true), '')::integer;
    IF ef_search IS NULL THEN
        SELECT least(1000, CASE WHEN t.k >= vector_plan.k THEN t.ef_search ELSE greatest(t.ef_search, 2 * vector_plan.k) END)
        INTO ef_search
        FROM imrec.tuning AS t WHERE t.feature = vector_plan.feature AND t.metric = vector_plan.metric;
    END IF;
    ef_search := least(1000, coalesce(ef_search, greatest(100, 2 * k)));
END;
$$;

COMMENT ON FUNCTION imrec.vector_plan IS
'How a search by vectors is to be answered; for imrec.nearest_vectors.';
