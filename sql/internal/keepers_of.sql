-- Which of the numbers are keepers, when each is one that is joined to no smaller keeper: a and b are the two ends of
-- the edges, in both directions. The rounds of imrec_internal.group_duplicates, without a table.
CREATE OR REPLACE FUNCTION imrec_internal.keepers_of(a integer[], b integer[])
RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rest integer[] := ARRAY(SELECT DISTINCT n FROM unnest(a) AS n);
    chosen integer[];
    keepers integer[] := '{}';
BEGIN
    WHILE cardinality(rest) > 0 LOOP
        chosen := ARRAY(
            SELECT r FROM unnest(rest) AS r
            EXCEPT
            SELECT e.a FROM unnest(a, b) AS e (a, b)
            WHERE e.b < e.a AND e.b IN (SELECT unnest(rest))
        );
        keepers := keepers || chosen;
        rest := ARRAY(
            SELECT r FROM unnest(rest) AS r
            EXCEPT
            SELECT unnest(chosen)
            EXCEPT
            SELECT e.a FROM unnest(a, b) AS e (a, b) WHERE e.b IN (SELECT unnest(chosen))
        );
    END LOOP;
    RETURN keepers;
END;
$$;

COMMENT ON FUNCTION imrec_internal.keepers_of(integer[], integer[]) IS
'Which of numbered things are keepers of stars, by the edges between them.';
