-- How much each feature counts in imrec.fuse: measured, see docs/quality.md.
CREATE FUNCTION imrec.default_weights()
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT '{"embedding": 3, "histogram": 2, "ahash": 1, "dhash": 1}'::jsonb $$;

COMMENT ON FUNCTION imrec.default_weights IS 'How much each feature counts in imrec.fuse.';
