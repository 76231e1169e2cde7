-- A condition on f.image_id, as text for EXECUTE, whose parameters are $4, the filter, and $5, the images
-- among which to search. It is put together from the constants in here alone: of the filter, only names are
-- read. each_row is for walks over an index: one look-up a row, rather than a list of all images made
-- beforehand.
CREATE FUNCTION imrec.filter_condition(filter jsonb, among boolean, each_row boolean)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    of_image CONSTANT jsonb := $json${
        "after": "i.taken_at >= ($4 ->> 'after')::timestamp",
        "before": "i.taken_at < ($4 ->> 'before')::timestamp",
        "min_bytes": "i.bytes >= ($4 ->> 'min_bytes')::bigint",
        "max_bytes": "i.bytes <= ($4 ->> 'max_bytes')::bigint",
        "min_width": "i.width >= ($4 ->> 'min_width')::integer",
        "min_height": "i.height >= ($4 ->> 'min_height')::integer",
        "camera":
        "strpos(lower(concat_ws(' ', i.camera_make, i.camera_model)), lower($4 ->> 'camera')) > 0",
        "format": "upper(i.format) = upper($4 ->> 'format')"
    }$json$;
    of_place CONSTANT jsonb := $json${
        "under": "starts_with(l.path, rtrim($4 ->> 'under', '/') || '/')",
        "root": "l.root_id = (SELECT r.root_id FROM imrec.root AS r WHERE r.name = $4 ->> 'root')"
    }$json$;
    template CONSTANT text := CASE WHEN each_row
        -- With OFFSET it stays a look-up: the planner would else turn it into a join.
        THEN ' AND EXISTS (SELECT FROM imrec.%1$s AS %2$s WHERE %2$s.image_id = f.image_id AND %3$s OFFSET 0)'
        ELSE ' AND f.image_id IN (SELECT %2$s.image_id FROM imrec.%1$s AS %2$s WHERE %3$s)'
    END;
    unknown text;
    condition text;
BEGIN
    SELECT string_agg(n.key, ', ') INTO unknown FROM jsonb_object_keys(filter) AS n (key)
    WHERE NOT of_image || of_place ? n.key;
    IF unknown IS NOT NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('a filter has no %s', unknown),
            HINT = 'Make it by imrec.filter(): under, root, after, before, min_bytes, max_bytes, …';
    END IF;
    SELECT string_agg(format(template, 'image', 'i', n.conditions), '') INTO condition FROM (
        SELECT string_agg(of_image ->> k.key, ' AND ') AS conditions
        FROM jsonb_object_keys(filter) AS k (key) WHERE of_image ? k.key
    ) AS n WHERE n.conditions IS NOT NULL;
    SELECT concat(condition, string_agg(format(template, 'location', 'l', n.conditions), '')) INTO condition FROM (
        SELECT string_agg(of_place ->> k.key, ' AND ') AS conditions
        FROM jsonb_object_keys(filter) AS k (key) WHERE of_place ? k.key
    ) AS n WHERE n.conditions IS NOT NULL;
    RETURN concat(CASE WHEN among THEN ' AND f.image_id = ANY ($5)' END, condition);
END;
$$;

COMMENT ON FUNCTION imrec.filter_condition IS 'A part of the statements of imrec.nearest_vectors.';
