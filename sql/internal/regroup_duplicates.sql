-- Makes those groups of duplicates anew that files which went or came back have changed; for the end of an ingest. That
-- is of members of which no file is there any more, and of images in no group that are alike a keeper or another such
-- image, both there. Returns how many images these are.
CREATE OR REPLACE FUNCTION imrec_internal.regroup_duplicates()
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed uuid[];
BEGIN
    PERFORM pg_advisory_xact_lock('imrec.duplicate_member'::regclass::oid::bigint);
    changed := ARRAY(
        WITH present AS MATERIALIZED (
            SELECT DISTINCT f.image_id FROM imrec.file AS f
            LEFT JOIN imrec.missing AS m ON m.file_id = f.file_id
            WHERE m.file_id IS NULL
        ),
        edge AS MATERIALIZED (
            SELECT p.image_id AS a, p.other_id AS b, CASE p.kind WHEN 'burst' THEN 'burst' ELSE 'copy' END AS kind
            FROM imrec.duplicate_pair AS p
            INNER JOIN present AS i ON i.image_id = p.image_id
            INNER JOIN present AS o ON o.image_id = p.other_id
            LEFT JOIN imrec.duplicate_verdict AS v
                ON v.image_id = p.image_id AND v.other_id = p.other_id AND v.verdict <> 'same'
            WHERE v.image_id IS NULL
        )
        SELECT m.image_id FROM imrec.duplicate_member AS m
        LEFT JOIN present AS i ON i.image_id = m.image_id
        WHERE i.image_id IS NULL
        UNION
        SELECT e.a
        FROM (
            SELECT w.a, w.b, w.kind FROM edge AS w
            UNION ALL
            SELECT w.b, w.a, w.kind FROM edge AS w
        ) AS e
        LEFT JOIN imrec.duplicate_member AS a ON a.image_id = e.a AND a.kind = e.kind
        LEFT JOIN imrec.duplicate_member AS b ON b.image_id = e.b AND b.kind = e.kind
        WHERE a.image_id IS NULL AND coalesce(b.keeper, true)
    );
    IF cardinality(changed) > 0 THEN
        -- Of very many, one by one takes longer than all groups.
        PERFORM imrec_internal.group_duplicates(CASE WHEN cardinality(changed) <= 1000 THEN changed END);
    END IF;
    RETURN cardinality(changed);
END;
$$;

COMMENT ON FUNCTION imrec_internal.regroup_duplicates() IS
'Makes those groups of duplicates anew that files which went or came back have changed.';
