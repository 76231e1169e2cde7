-- Whether row-level security hides photos from the caller: it is on, and no policy lets the caller see all.
-- A policy that is just true costs nothing; any other keeps the indexes on hashes from being used, since
-- their expressions are not leakproof.
CREATE FUNCTION imrec.restricted()
RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
BEGIN
    IF NOT pg_catalog.row_security_active('imrec.location') THEN
        RETURN false;
    END IF;
    RETURN NOT EXISTS (
        SELECT FROM pg_catalog.pg_policy AS p CROSS JOIN LATERAL unnest(p.polroles) AS r (oid)
        WHERE p.polrelid = 'imrec.location'::pg_catalog.regclass AND p.polpermissive
            AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true'
            AND CASE r.oid WHEN 0 THEN true ELSE pg_catalog.pg_has_role(r.oid, 'USAGE') END -- 0 is PUBLIC
    );
END;
$$;

COMMENT ON FUNCTION imrec.restricted IS 'Whether row-level security hides photos from the caller.';
