-- What imrec.duplicates shows to a reader of some roots: files with the same bytes in these roots, and stars of the
-- pairs in them alone, as if there were no other photos. A group of near copies has the id of its keeper.
CREATE OR REPLACE FUNCTION imrec_internal.visible_duplicates(reader name, of_kind text)
RETURNS TABLE (
    group_id uuid, kind text, keeper boolean, path text, image_id uuid, file_id uuid, copies bigint, size bigint,
    width integer, height integer, format text, pair_kind text, difference_bits smallint, perceptual_bits smallint,
    embedding double precision, histogram double precision
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET enable_mergejoin = off
SET enable_hashjoin = on
SET enable_nestloop = on
SET enable_seqscan = on
SET enable_indexscan = off
SET enable_indexonlyscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    roots CONSTANT uuid[] := imrec_internal.reader_roots(reader);
    one text;
BEGIN
    RETURN QUERY
    SELECT s.image_id, 'exact', f.file_id = s.file_id, f.path, s.image_id, f.file_id, 1::bigint, i.size,
        i.width, i.height, i.format, NULL::text, 0::smallint, 0::smallint, 0::double precision, 0::double precision
    FROM (
        SELECT o.image_id, (array_agg(o.file_id ORDER BY o.path, o.file_id))[1] AS file_id FROM imrec.file AS o
        WHERE o.root_id = ANY (roots) AND o.file_id NOT IN (SELECT x.file_id FROM imrec.missing AS x)
        GROUP BY o.image_id HAVING count(*) > 1
    ) AS s
    INNER JOIN imrec.image AS i ON i.image_id = s.image_id
    INNER JOIN imrec.file AS f ON f.image_id = s.image_id AND f.root_id = ANY (roots)
    WHERE coalesce(of_kind, 'exact') = 'exact' AND f.file_id NOT IN (SELECT x.file_id FROM imrec.missing AS x)
    ORDER BY s.image_id, f.file_id <> s.file_id, f.path;
    FOREACH one IN ARRAY '{copy,burst}'::text[] LOOP
        CONTINUE WHEN one <> coalesce(of_kind, one);
        RETURN QUERY
        WITH edge AS MATERIALIZED (
            SELECT CASE s.n WHEN 0 THEN p.image_id ELSE p.other_id END AS image_id,
                CASE s.n WHEN 0 THEN p.other_id ELSE p.image_id END AS other_id, p.kind, p.difference_bits,
                p.perceptual_bits, p.embedding, p.histogram, CASE p.verdict WHEN 'same' THEN 0 ELSE
                    coalesce(p.difference_bits + p.perceptual_bits, 128) + coalesce(p.embedding, 2)
                END AS distance
            FROM imrec_internal.visible_pairs(reader) AS p, generate_series(0, 1) AS s (n)
            WHERE coalesce(p.verdict, 'same') = 'same' AND CASE one
                WHEN 'burst' THEN p.kind = 'burst' ELSE p.kind <> 'burst' OR p.verdict = 'same'
            END
        ),
        rank AS MATERIALIZED (
            SELECT k.*, f.mtime_ns FROM imrec_internal.keeper_rank AS k
            INNER JOIN (
                SELECT o.image_id, min(o.mtime_ns) AS mtime_ns FROM imrec.file AS o
                WHERE o.root_id = ANY (roots) AND o.file_id NOT IN (SELECT x.file_id FROM imrec.missing AS x)
                GROUP BY o.image_id
            ) AS f ON f.image_id = k.image_id
        ),
        node AS MATERIALIZED (
            SELECT r.image_id, (row_number() OVER (ORDER BY n.number > 50 DESC, imrec_internal.keeper_key(
                r.of_camera, r.format, r.pixels, r.bytes, greatest(r.pixels, n.pixels), greatest(r.bytes, n.bytes),
                r.mtime_ns
            ), r.image_id))::integer AS place
            FROM rank AS r
            INNER JOIN (
                SELECT e.image_id, count(*) AS number, max(o.pixels) AS pixels, max(o.bytes) AS bytes
                FROM edge AS e INNER JOIN rank AS o ON o.image_id = e.other_id GROUP BY e.image_id
            ) AS n ON n.image_id = r.image_id
        ),
        placed AS MATERIALIZED (
            SELECT e.*, a.place AS place, b.place AS other_place FROM edge AS e
            INNER JOIN node AS a ON a.image_id = e.image_id
            INNER JOIN node AS b ON b.image_id = e.other_id
        ),
        chosen AS MATERIALIZED (
            SELECT unnest(imrec_internal.keepers_of(array_agg(p.place), array_agg(p.other_place))) AS place
            FROM placed AS p
        ),
        joined AS MATERIALIZED (
            SELECT DISTINCT ON (p.place) p.* FROM placed AS p
            INNER JOIN chosen AS k ON k.place = p.other_place
            WHERE p.place NOT IN (SELECT c.place FROM chosen AS c)
            ORDER BY p.place, p.distance, p.other_place
        ),
        -- As imrec_internal.store_duplicate_groups has it: what joined may be better than the keeper.
        better AS MATERIALIZED (
            SELECT DISTINCT ON (b.keeper) b.keeper, b.place FROM (
                SELECT j.other_place AS keeper, j.place, count(*) AS near FROM joined AS j
                INNER JOIN placed AS p ON p.place = j.place
                LEFT JOIN joined AS o ON o.place = p.other_place
                WHERE j.place < j.other_place AND coalesce(o.other_place, p.other_place) = j.other_place
                GROUP BY j.other_place, j.place
            ) AS b
            INNER JOIN (SELECT j.other_place, count(*) AS members FROM joined AS j GROUP BY j.other_place) AS g
                ON g.other_place = b.keeper AND g.members = b.near
            ORDER BY b.keeper, b.place
        ),
        star AS MATERIALIZED (
            SELECT j.* FROM joined AS j WHERE j.other_place NOT IN (SELECT b.keeper FROM better AS b)
            UNION ALL
            SELECT p.* FROM placed AS p
            INNER JOIN better AS b ON b.place = p.other_place
            LEFT JOIN joined AS j ON j.place = p.place
            WHERE coalesce(j.other_place, p.place) = b.keeper
        )
        SELECT m.group_id, one, m.keeper, s.path, m.image_id, s.file_id, s.copies, i.size, i.width, i.height, i.format,
            m.kind, m.difference_bits, m.perceptual_bits, m.embedding, m.histogram
        FROM (
            SELECT t.other_id AS group_id, false AS keeper, t.image_id, t.kind, t.difference_bits, t.perceptual_bits,
                t.embedding, t.histogram
            FROM star AS t
            UNION ALL
            SELECT DISTINCT t.other_id, true, t.other_id, NULL::text, NULL::smallint, NULL::smallint,
                NULL::double precision, NULL::double precision
            FROM star AS t
        ) AS m
        INNER JOIN imrec.image AS i ON i.image_id = m.image_id
        INNER JOIN imrec_internal.visible_files(roots, ARRAY(SELECT n.image_id FROM node AS n)) AS s
            ON s.image_id = m.image_id
        ORDER BY m.group_id, m.keeper DESC, s.path;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION imrec_internal.visible_duplicates(name, text) IS
'Groups of duplicates as a reader of some roots sees them, made of its photos alone.';
