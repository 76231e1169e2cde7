-- restricted: whether row-level security hides photos from the caller: it is on, and no policy lets the caller
-- see all. A policy that is just true costs nothing; any other keeps the indexes on hashes from being used,
-- since their expressions are not leakproof.
CREATE OR REPLACE VIEW imrec_internal.caller WITH (security_invoker = true) AS
SELECT
    row_security_active('imrec.file') AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_policy AS p
        CROSS JOIN LATERAL unnest(p.polroles) AS r (oid)
        WHERE
            p.polrelid = 'imrec.file'::regclass AND p.polpermissive
            AND pg_get_expr(p.polqual, p.polrelid) = 'true'
            AND CASE r.oid WHEN 0 THEN true ELSE pg_has_role(r.oid, 'USAGE') END -- 0 is PUBLIC
    ) AS restricted;

COMMENT ON VIEW imrec_internal.caller IS 'Whether row-level security hides photos from the caller.';
