-- How a search is to be answered, or an error that says what is wrong with it. This is the one place for the
-- bounds of k, the keys of a filter, and when an index is used. It returns two statements for EXECUTE, walk
-- (by an HNSW index) and compare (all, exactly), put together from the constants in here alone: an index serves
-- only a plan that knows table, operator and k; and refine, which compares candidates ($7), whom allowed restricts.
-- Their parameters: $1 the likes and $2 the dislikes (vectors or
-- codes), $3 the images to leave out, $4 filter, $5 images, $6 roots. With roots, only images with a file in one of
-- these count, and only those are compared, for a reader of some roots (imrec_internal.visible_recommend).
--
-- A session may SET imrec.few_images, imrec.min_index_rows and imrec.ef_search.
CREATE OR REPLACE FUNCTION imrec_internal.search_plan(
    likes imrec.features[], dislikes imrec.features[], feature text, metric text, k bigint, combine text,
    filter jsonb, among uuid[], method text, roots uuid[],
    OUT approximate boolean, -- by the index
    OUT by_chunks boolean,   -- of hashes: by imrec.hamming_search
    OUT ef_search integer, OUT walk text, OUT compare text,
    OUT allowed text, OUT refine text, OUT metric_used text, -- for imrec_internal.refined
    OUT near pgvector.vector[], OUT far pgvector.vector[], OUT near_codes bit[], OUT far_codes bit[],
    OUT conditions jsonb, OUT images uuid[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- To compare so many takes 25 ms: faster than walking an index past all that is filtered out.
    few CONSTANT bigint := coalesce(nullif(current_setting('imrec.few_images', true), '')::bigint, 5000);
    -- Below this, all are compared in a few milliseconds, or as many as are in 60 ms where that was measured.
    min_rows bigint := nullif(current_setting('imrec.min_index_rows', true), '')::bigint;
    -- Beyond this k, walking the graph costs more than comparing all (ef_search ends at 1,000).
    max_walk CONSTANT bigint := 400;
    of_image CONSTANT jsonb := $json${
        "after": "i.taken_at >= ($4 ->> 'after')::timestamp",
        "before": "i.taken_at < ($4 ->> 'before')::timestamp",
        "min_size": "i.size >= ($4 ->> 'min_size')::bigint",
        "max_size": "i.size <= ($4 ->> 'max_size')::bigint",
        "min_width": "i.width >= ($4 ->> 'min_width')::integer",
        "min_height": "i.height >= ($4 ->> 'min_height')::integer",
        "camera":
        "strpos(lower(concat_ws(' ', i.camera_make, i.camera_model)), lower($4 ->> 'camera')) > 0",
        "format": "$4 -> 'format' ? i.format"
    }$json$;
    of_file CONSTANT jsonb := $json${
        "under": "starts_with(i.path, rtrim($4 ->> 'under', '/') || '/')",
        "root": "i.root_id = (SELECT r.root_id FROM imrec.root AS r WHERE r.name = $4 ->> 'root')",
        "": "i.root_id = ANY ($6)"
    }$json$;
    -- As imrec_internal.mapped_filter resolves them.
    of_cluster_member CONSTANT jsonb := $json${
        "cluster": "i.cluster = ($4 ->> 'cluster')::integer",
        "clustering": "i.clustering_id = ($4 ->> 'clustering')::uuid"
    }$json$;
    of_map_point CONSTANT jsonb := $json${
        "in_box": "i.x BETWEEN ($4 -> 'in_box' ->> 0)::real AND ($4 -> 'in_box' ->> 3)::real AND i.y BETWEEN ($4 -> 'in_box' ->> 1)::real AND ($4 -> 'in_box' ->> 4)::real AND coalesce(i.z, 0) BETWEEN ($4 -> 'in_box' ->> 2)::real AND ($4 -> 'in_box' ->> 5)::real",
        "map": "i.map_id = ($4 ->> 'map')::uuid"
    }$json$;
    formats jsonb := $json${
        "JPEG": ["JPEG", "MPO"], "MPO": ["MPO"], "PNG": ["PNG"], "WEBP": ["WEBP"], "GIF": ["GIF"],
        "BMP": ["BMP"], "TIFF": ["TIFF"], "AVIF": ["AVIF"], "HEIF": ["HEIF"],
        "JPG": ["JPEG", "MPO"], "JPE": ["JPEG", "MPO"], "JFIF": ["JPEG", "MPO"], "APNG": ["PNG"],
        "TGA": ["TGA"], "PCX": ["PCX"], "PPM": ["PPM"], "ICO": ["ICO"], "DDS": ["DDS"], "PSD": ["PSD"],
        "JPEG2000": ["JPEG2000"], "QOI": ["QOI"], "JP2": ["JPEG2000"], "J2K": ["JPEG2000"], "JPX": ["JPEG2000"],
        "PGM": ["PPM"], "PBM": ["PPM"], "PNM": ["PPM"], "PFM": ["PPM"],
        "DIB": ["BMP"], "TIF": ["TIFF"], "HEIC": ["HEIF"], "HIF": ["HEIF"]
    }$json$;
    raw_formats CONSTANT text[] := '{RAW,3FR,ARW,CR2,CR3,CRW,DCR,DNG,ERF,FFF,GPR,IIQ,K25,KDC,MEF,MOS,MRW,NEF,NRW,'
        'ORF,PEF,RAF,RW2,RWL,SR2,SRF,SRW,X3F}';
    -- Row-level security that others put on our table keeps the indexes on hashes from being used.
    secured CONSTANT boolean := row_security_active('imrec.file');
    known record;
    part record;
    mean pgvector.vector;
    shown uuid[];
    unknown text;
    indexed bigint; -- how many rows an index holds
    reduced record;
    is_reduced boolean := false;
    filtered text := '';
    walked text := '';
    distances text[];
    disliked text;
    distance text;
BEGIN
    SELECT f.type, f.metrics, f.feature AS name INTO known
    FROM imrec.feature AS f WHERE f.feature = search_plan.feature;
    metric := coalesce(metric, known.metrics[1]);
    conditions := coalesce(filter, '{}');
    dislikes := coalesce(dislikes, '{}');
    IF known.name IS NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there is no feature %L', feature),
            HINT = format('The features are %s.', (SELECT string_agg(f.feature, ', ') FROM imrec.feature AS f));
    ELSIF metric <> ALL (known.metrics) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('%s has no %s distance', feature, metric),
            HINT = format('The metrics of %s: %s.', feature, array_to_string(known.metrics, ', '));
    ELSIF k IS NULL OR k NOT BETWEEN 1 AND 1000000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('k is how many photos to return, from 1 to 1,000,000, not %s', coalesce(k::text, 'NULL'));
    ELSIF method IS NULL OR method NOT IN ('auto', 'exact', 'approximate') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there is no method %L', method),
            HINT = 'The methods are auto, exact and approximate.';
    ELSIF combine IS NULL OR combine NOT IN ('mean', 'min') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('likes cannot be combined by %L', combine),
            HINT = 'Combine them by mean, or by min: the distance to the nearest of them.';
    ELSIF cardinality(likes) > 0 IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'there is no image to search for';
    END IF;

    -- Which photos may be in the answer.
    IF conditions <> '{}' THEN
        IF roots IS NOT NULL AND conditions ?| '{cluster,in_box,by_feature,on_map,clustering,map}' THEN
            RAISE invalid_parameter_value USING
                MESSAGE = 'a reader of some roots has no clusters and no maps',
                HINT = 'They are made of all photos, those of other roots included.';
        ELSIF conditions ?| '{cluster,in_box,by_feature,on_map}' THEN
            conditions := imrec_internal.mapped_filter(conditions, feature);
        END IF;
        SELECT string_agg(n.key, ', ') INTO unknown FROM jsonb_object_keys(conditions) AS n (key)
        WHERE NOT of_image || of_file || of_cluster_member || of_map_point ? n.key OR n.key = '';
        IF unknown IS NOT NULL THEN
            RAISE invalid_parameter_value USING
                MESSAGE = format('a filter has no %s', unknown),
                HINT = 'Make it by imrec.filter(): under, root, after, before, min_size, max_size, …';
        ELSIF conditions ? 'root'
            -- IN, so that the index on names, which knows those of all roots, is not asked.
            AND (conditions ->> 'root' IN (
                SELECT r.name FROM imrec.root AS r WHERE roots IS NULL OR r.root_id = ANY (roots)
            )) IS NOT TRUE
        THEN
            RAISE invalid_parameter_value USING
                MESSAGE = format('there is no root %L', conditions ->> 'root'),
                HINT = format('SELECT name FROM imrec.%s lists them, and so does imrec-pg root list.',
                    CASE WHEN roots IS NULL THEN 'root' ELSE 'visible_root' END);
        ELSIF conditions ? 'format' THEN
            formats := formats || (SELECT jsonb_object_agg(r, jsonb_build_array(r)) FROM unnest(raw_formats) AS r);
            IF NOT formats ? upper(conditions ->> 'format') THEN
                RAISE invalid_parameter_value USING
                    MESSAGE = format('there is no format %L', conditions ->> 'format'),
                    HINT = 'The formats are JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, HEIF, TGA, PCX, PPM, ICO, DDS, PSD, JPEG2000, QOI, and those of camera raws: DNG, NEF, …';
            END IF;
            conditions := conditions || jsonb_build_object('format', formats -> upper(conditions ->> 'format'));
        END IF;
    END IF;
    images := CASE WHEN roots IS NULL OR among IS NULL THEN among ELSE ARRAY(
        SELECT v.image_id FROM imrec_internal.visible_files(roots, among) AS v
    ) END;
    -- Statements that are not needed cost as well: each opens its tables before it looks at a condition.
    IF known.type = 'vector' AND roots IS NULL AND k <= max_walk THEN
        SELECT x.rows INTO indexed FROM imrec_internal.hnsw_index AS x
        WHERE x.feature = search_plan.feature AND x.metric = search_plan.metric AND x.valid;
    END IF;
    IF known.type = 'vector' AND roots IS NULL THEN
        SELECT r.exact_images INTO reduced FROM imrec.reduction AS r
        WHERE r.feature = search_plan.feature AND r.complete AND search_plan.metric = ANY (r.metrics);
        is_reduced := FOUND;
        min_rows := coalesce(min_rows, CASE WHEN method = 'auto' AND is_reduced THEN reduced.exact_images END, 5000);
    END IF;
    approximate := coalesce(method <> 'exact' AND indexed >= min_rows, false);
    IF roots IS NOT NULL THEN
        -- Listed one table after the other: how far a join of all goes, which the counters of rows read tell, would
        -- depend on hidden photos that fit the conditions. With among alone, it has been looked up already.
        FOR part IN
            SELECT r.relation, string_agg(r.conditions ->> c.key, ' AND ') AS condition
            FROM (VALUES ('file', of_file), ('image', of_image)) AS r (relation, conditions)
            INNER JOIN jsonb_object_keys(search_plan.conditions || '{"": 1}') AS c (key) ON r.conditions ? c.key
            GROUP BY r.relation ORDER BY r.relation
        LOOP
            IF part.relation = 'image' THEN
                EXECUTE format(
                    'SELECT ARRAY(SELECT i.image_id FROM imrec.image AS i WHERE i.image_id = ANY ($5) AND %s)',
                    part.condition
                ) INTO images USING NULL, NULL, NULL, conditions, images;
            ELSIF images IS NULL OR conditions ?| '{under,root}' THEN
                EXECUTE format('SELECT ARRAY(SELECT i.image_id FROM imrec.file AS i WHERE %s)', part.condition)
                INTO shown USING NULL, NULL, NULL, conditions, NULL, roots;
                images := CASE WHEN images IS NULL THEN shown
                    ELSE ARRAY(SELECT a.id FROM unnest(images) AS a (id) WHERE a.id = ANY (shown)) END;
            END IF;
        END LOOP;
    ELSIF conditions <> '{}' THEN
        SELECT
            coalesce(string_agg(format(
                ' AND f.image_id IN (SELECT i.image_id FROM imrec.%I AS i WHERE %s)', n.relation, n.condition), ''), ''),
            -- For walks over an index: one look-up a row. With OFFSET it stays one: the planner would turn it into a join.
            coalesce(string_agg(format(
                ' AND EXISTS (SELECT FROM imrec.%I AS i WHERE i.image_id = f.image_id AND %s OFFSET 0)',
                n.relation, n.condition), ''), '')
        INTO filtered, walked
        FROM (
            SELECT r.relation, string_agg(r.conditions ->> c.key, ' AND ') AS condition
            FROM (
                VALUES ('image', of_image), ('file', of_file), ('cluster_member', of_cluster_member),
                    ('map_point', of_map_point)
            ) AS r (relation, conditions)
            INNER JOIN jsonb_object_keys(search_plan.conditions) AS c (key) ON r.conditions ? c.key
            GROUP BY r.relation
        ) AS n;
    END IF;
    IF images IS NOT NULL THEN
        -- To estimate what many ids of an array let pass takes longer than the search.
        filtered := CASE WHEN cardinality(images) > few THEN ' AND f.image_id IN (SELECT unnest($5))'
            ELSE ' AND f.image_id = ANY ($5)' END || filtered;
        walked := ' AND f.image_id = ANY ($5)' || walked;
    END IF;
    IF approximate AND filtered <> '' THEN
        EXECUTE format(
            'SELECT array_agg(n.image_id) FROM (SELECT f.image_id FROM imrec.image AS f WHERE true%s LIMIT %s) AS n',
            filtered, few + 1
        ) INTO shown USING NULL, NULL, NULL, conditions, images;
        IF cardinality(shown) > few IS NOT TRUE THEN
            approximate := false;
            images := coalesce(shown, '{}');
            filtered := ' AND f.image_id = ANY ($5)';
        END IF;
    END IF;

    -- To what the photos are compared.
    IF known.type = 'vector' THEN
        EXECUTE format('SELECT ARRAY(SELECT q.%1$I FROM unnest($1) AS q), ARRAY(SELECT q.%1$I FROM unnest($2) AS q)', feature)
        INTO near, far USING likes, dislikes;
        IF combine = 'mean' AND cardinality(near || far) > 1 AND array_position(near || far, NULL) IS NULL THEN
            SELECT pgvector.avg(q.v) INTO mean FROM unnest(near) AS q (v);
            IF cardinality(far) > 0 THEN
                -- Rocchio's formula (1971) with the usual weights, 0.75 for likes and 0.15 for dislikes (Manning,
                -- Raghavan and Schuetze 2008, chapter 9), scaled so as to stay among the images.
                -- OPERATOR() binds by no precedence, hence the parentheses.
                SELECT mean OPERATOR(pgvector.+) ((mean OPERATOR(pgvector.-) pgvector.avg(q.v)) OPERATOR(pgvector.*)
                    array_fill(0.25::real, ARRAY[pgvector.vector_dims(mean)])::pgvector.vector)
                INTO mean FROM unnest(far) AS q (v);
            END IF;
            near := ARRAY[mean];
            far := '{}';
        END IF;
        unknown := CASE WHEN array_position(near || far, NULL) IS NOT NULL THEN feature END;
        IF metric = 'cosine' AND EXISTS (SELECT FROM unnest(near || far) AS q (v) WHERE pgvector.vector_norm(q.v) = 0) THEN
            RAISE invalid_parameter_value USING
                MESSAGE = 'a vector of zeros has no cosine distance',
                HINT = 'Likes and dislikes that are the same photos cancel each other out.';
        END IF;
    ELSE
        EXECUTE format('SELECT ARRAY(SELECT q.%1$I FROM unnest($1) AS q), ARRAY(SELECT q.%1$I FROM unnest($2) AS q)', feature)
        INTO near_codes, far_codes USING likes, dislikes;
        unknown := CASE WHEN array_position(near_codes || far_codes, NULL) IS NOT NULL THEN feature END;
    END IF;
    IF unknown IS NOT NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('one of the images has no %s', unknown),
            HINT = 'imrec-pg status says how many images lack features, imrec-pg ingest computes them.';
    END IF;
    by_chunks := known.type = 'bit' AND filtered = '' AND NOT secured AND cardinality(far_codes) = 0
        AND (combine = 'min' OR cardinality(near_codes) = 1);
    IF by_chunks THEN
        RETURN;
    END IF;

    -- The statements.
    distances := ARRAY(
        SELECT format('(f.%I %s $1[%s])', feature, CASE metric
            WHEN 'cosine' THEN 'OPERATOR(pgvector.<=>)' WHEN 'euclidean' THEN 'OPERATOR(pgvector.<->)'
            WHEN 'manhattan' THEN 'OPERATOR(pgvector.<+>)' WHEN 'hamming' THEN 'OPERATOR(pgvector.<~>)' END, n)
        FROM generate_series(1, coalesce(cardinality(near), cardinality(near_codes))) AS n
    );
    distance := array_to_string(distances, ', ');
    -- The same to the dislikes; NULL without any.
    SELECT string_agg(replace(distances[1], '$1[1]', format('$2[%s]', n)), ', ') INTO disliked
    FROM generate_series(1, coalesce(cardinality(far), cardinality(far_codes))) AS n;
    IF combine = 'min' THEN
        distance := CASE WHEN cardinality(distances) > 1 THEN format('least(%s)', distance) ELSE distance END;
        disliked := 'least(' || disliked || ') < ' || distance;
    ELSE
        -- Hashes have no mean: by the mean of their distances, as Rocchio weighs them.
        distance := CASE WHEN cardinality(distances) > 1
            THEN format('((%s) / %s)', array_to_string(distances, ' + '), cardinality(distances)) ELSE distance END;
        IF disliked IS NOT NULL THEN
            distance := format(
                '(1.25 * %s - 0.25 * (%s) / %s)', distance, replace(disliked, ', ', ' + '), cardinality(far_codes)
            );
            disliked := NULL;
        END IF;
    END IF;
    -- The same expression in both places, or each distance is computed twice; + 0 keeps it from an index.
    compare := format(
        'SELECT f.image_id, %1$s + 0 AS distance FROM imrec.%2$I AS f WHERE f.image_id <> ALL ($3)%3$s '
        'ORDER BY %4$s%1$s + 0, f.image_id LIMIT %5$s', distance, feature, filtered, disliked || ', ', k
    );
    IF is_reduced AND (images IS NULL OR cardinality(images) > few) THEN
        allowed := replace(walked, '= ANY ($5)', 'IN (SELECT unnest($5))');
        metric_used := metric;
        refine := format(
            'SELECT f.image_id, %1$s + 0 AS distance, %4$s AS disliked FROM imrec.%2$I AS f '
            'WHERE f.image_id = ANY ($7) AND f.image_id <> ALL ($3) ORDER BY %3$s%1$s + 0, f.image_id LIMIT %5$s',
            distance, feature, disliked || ', ', coalesce(disliked, 'false'), k
        );
    END IF;
    IF approximate OR (indexed IS NOT NULL AND refine IS NOT NULL AND filtered = '') THEN
        walk := format('SELECT n.image_id, min(n.distance) AS distance FROM (%s) AS n GROUP BY 1 ORDER BY 2, 1 LIMIT $7', (
            SELECT string_agg(format(
                '(SELECT f.image_id, %1$s AS distance FROM imrec.%2$I AS f WHERE f.image_id <> ALL ($3)%3$s%4$s '
                'ORDER BY %1$s, f.image_id LIMIT $7)', n.distance, feature, walked, ' AND NOT (' || disliked || ')'
            ), ' UNION ALL ') FROM unnest(distances) AS n (distance)
        ));
        ef_search := nullif(current_setting('imrec.ef_search', true), '')::integer;
        IF ef_search IS NULL THEN
            SELECT CASE WHEN t.k >= search_plan.k THEN t.ef_search ELSE greatest(t.ef_search, 2 * search_plan.k) END
            INTO ef_search
            FROM imrec.tuning AS t WHERE t.feature = search_plan.feature AND t.metric = search_plan.metric;
        END IF;
        ef_search := least(1000, coalesce(ef_search, greatest(100, 2 * k)));
    END IF;
END;
$$;

COMMENT ON FUNCTION imrec_internal.search_plan(
    imrec.features[], imrec.features[], text, text, bigint, text, jsonb, uuid[], text, uuid[]
) IS
'How a search is to be answered, or an error that says what is wrong with it.';
