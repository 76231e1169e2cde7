-- Says what two photos (paths or ids of images) are to each other: same, alternate (an edit worth keeping beside the
-- other) or different; NULL forgets what was said. Returns what was said before. Images that are not stored may be
-- named by their ids: what is said holds for contents, and outlives them.
CREATE OR REPLACE FUNCTION imrec.set_verdict(a text, b text, verdict text)
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id CONSTANT text := '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';
    one uuid := CASE WHEN a ~ id THEN a::uuid ELSE imrec_internal.image_at(a) END;
    two uuid := CASE WHEN b ~ id THEN b::uuid ELSE imrec_internal.image_at(b) END;
    before text;
BEGIN
    IF one = two THEN
        RAISE invalid_parameter_value USING MESSAGE = 'these are the same bytes: nothing can be said of one image';
    ELSIF verdict NOT IN ('same', 'alternate', 'different') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there is no verdict %L', verdict),
            HINT = 'Say same, alternate or different; NULL forgets what was said.';
    END IF;
    PERFORM pg_advisory_xact_lock('imrec.duplicate_member'::regclass::oid::bigint);
    SELECT v.verdict INTO before FROM imrec.duplicate_verdict AS v
    WHERE v.image_id = least(one, two) AND v.other_id = greatest(one, two);
    IF verdict IS NULL THEN
        DELETE FROM imrec.duplicate_verdict AS v WHERE v.image_id = least(one, two) AND v.other_id = greatest(one, two);
    ELSE
        INSERT INTO imrec.duplicate_verdict AS v (image_id, other_id, verdict, by, at)
        VALUES (least(one, two), greatest(one, two), set_verdict.verdict, current_user, clock_timestamp())
        ON CONFLICT (image_id, other_id) DO UPDATE
            SET verdict = excluded.verdict, by = excluded.by, at = excluded.at;
    END IF;
    PERFORM imrec_internal.group_duplicates(ARRAY[one, two]);
    RETURN before;
END;
$$;

COMMENT ON FUNCTION imrec.set_verdict(text, text, text) IS
'Says that two photos are the same, alternates or different, or forgets it; returns what was said before.';
