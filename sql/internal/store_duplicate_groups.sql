-- Replaces groups by what pg_temp.duplicate_node and pg_temp.duplicate_edge say: all of a kind, or those with members
-- among the nodes or these images. A group keeps its id as long as its keeper, or else the first of its members that
-- was in one, stays; two groups never share one. Of two members said not to be the same, the better one stays.
CREATE OR REPLACE FUNCTION imrec_internal.store_duplicate_groups(of_kind text, images uuid[])
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CREATE TEMP TABLE duplicate_star ON COMMIT DROP AS
    SELECT DISTINCT ON (n.image_id) n.image_id, n.place, k.image_id AS keeper_id
    FROM pg_temp.duplicate_node AS n
    INNER JOIN pg_temp.duplicate_edge AS e ON e.image_id = n.image_id
    INNER JOIN pg_temp.duplicate_node AS k ON k.image_id = e.other_id
    WHERE NOT n.keeper AND k.keeper
    ORDER BY n.image_id, e.distance, k.place;
    DELETE FROM pg_temp.duplicate_star AS s
    USING pg_temp.duplicate_star AS o, imrec.duplicate_verdict AS v
    WHERE o.keeper_id = s.keeper_id AND o.place < s.place AND v.verdict <> 'same'
        AND v.image_id = least(s.image_id, o.image_id) AND v.other_id = greatest(s.image_id, o.image_id);
    INSERT INTO pg_temp.duplicate_star (image_id, place, keeper_id)
    SELECT n.image_id, n.place, n.image_id FROM pg_temp.duplicate_node AS n
    WHERE n.image_id IN (SELECT s.keeper_id FROM pg_temp.duplicate_star AS s);
    -- What joined a star may be better than its keeper, where another star came first and it lies between both.
    UPDATE pg_temp.duplicate_star AS s SET keeper_id = c.image_id
    FROM (
        SELECT DISTINCT ON (b.keeper_id) b.keeper_id, b.image_id
        FROM (
            SELECT m.keeper_id, m.image_id, m.place, count(DISTINCT o.image_id) AS near
            FROM pg_temp.duplicate_star AS m
            INNER JOIN pg_temp.duplicate_star AS k ON k.image_id = m.keeper_id AND k.place > m.place
            INNER JOIN pg_temp.duplicate_edge AS e ON e.image_id = m.image_id
            INNER JOIN pg_temp.duplicate_star AS o ON o.image_id = e.other_id AND o.keeper_id = m.keeper_id
            GROUP BY m.keeper_id, m.image_id, m.place
        ) AS b
        INNER JOIN (
            SELECT a.keeper_id, count(*) AS members FROM pg_temp.duplicate_star AS a GROUP BY a.keeper_id
        ) AS g ON g.keeper_id = b.keeper_id AND b.near = g.members - 1
        ORDER BY b.keeper_id, b.place
    ) AS c
    WHERE s.keeper_id = c.keeper_id;
    CREATE TEMP TABLE duplicate_name ON COMMIT DROP AS
    WITH claimed AS (
        SELECT DISTINCT ON (s.keeper_id) s.keeper_id, m.group_id, s.place
        FROM pg_temp.duplicate_star AS s
        INNER JOIN imrec.duplicate_member AS m ON m.image_id = s.image_id AND m.kind = of_kind
        ORDER BY s.keeper_id, s.place
    )
    SELECT DISTINCT ON (c.group_id) c.keeper_id, c.group_id FROM claimed AS c ORDER BY c.group_id, c.place;
    DELETE FROM imrec.duplicate_member AS m
    WHERE m.kind = of_kind AND (
        images IS NULL OR m.image_id = ANY (images)
        OR m.image_id IN (SELECT n.image_id FROM pg_temp.duplicate_node AS n)
    );
    INSERT INTO imrec.duplicate_member (image_id, kind, group_id, keeper)
    SELECT s.image_id, of_kind, coalesce(n.group_id, g.group_id), s.image_id = s.keeper_id
    FROM pg_temp.duplicate_star AS s
    LEFT JOIN pg_temp.duplicate_name AS n ON n.keeper_id = s.keeper_id
    INNER JOIN (
        SELECT k.keeper_id, gen_random_uuid() AS group_id
        FROM (SELECT DISTINCT keeper_id FROM pg_temp.duplicate_star) AS k
    ) AS g ON g.keeper_id = s.keeper_id
    ORDER BY s.image_id;
    DROP TABLE pg_temp.duplicate_star, pg_temp.duplicate_name;
END;
$$;

COMMENT ON FUNCTION imrec_internal.store_duplicate_groups(text, uuid[]) IS
'Replaces groups of duplicates by those just made, which keep the ids of the ones before them.';
