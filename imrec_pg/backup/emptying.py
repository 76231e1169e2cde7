"""Remove the schemas imrec and imrec_internal when there are no photos and nothing of others in them.

The check and the removal are one piece of SQL, so that they can stand in the transaction that fills them again.
"""

from psycopg.sql import SQL, Composed, Literal

from imrec_pg.db.apply_sql import folder
from imrec_pg.db.metadata import metadata
from imrec_pg.db.migrate import VERSION_TABLE

# Without CASCADE, so that nothing of others goes: when no more can be dropped, others need what is left.
_EMPTY = SQL("""
DO $empty$
DECLARE
    ours CONSTANT text[] := {ours};
    tables text;
    waiting text[];
    later text[];
    one text;
    found boolean;
    reason text;
    reasons text;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
        pg_catalog.set_config('lock_timeout', '5s', true);
    IF to_regclass('imrec_internal.lock') IS NOT NULL THEN
        PERFORM FROM imrec_internal.lock WHERE name = 'upgrade' FOR UPDATE;
    END IF;
    SELECT string_agg(c.oid::regclass::text, ', ') INTO tables FROM pg_class AS c
    WHERE c.relnamespace IN (to_regnamespace('imrec'), to_regnamespace('imrec_internal')) AND c.relkind = 'r';
    IF tables IS NOT NULL THEN
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', tables);
    END IF;
    FOREACH one IN ARRAY ARRAY['imrec.root', 'imrec.image', 'imrec.file', 'imrec.failure'] LOOP
        IF to_regclass(one) IS NOT NULL THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', one) INTO found;
            IF found THEN
                RAISE 'this database holds photos already: restore into another one';
            END IF;
        END IF;
    END LOOP;
    SELECT string_agg(n.name, ', ') INTO one FROM (
        SELECT c.oid::regclass::text AS name FROM pg_class AS c
        WHERE c.relkind NOT IN ('i', 'I', 't') AND c.oid::regclass::text <> ALL (ours)
            AND c.relnamespace IN (to_regnamespace('imrec'), to_regnamespace('imrec_internal'))
        UNION ALL
        SELECT p.oid::regprocedure::text FROM pg_proc AS p
        WHERE concat_ws('.', p.pronamespace::regnamespace, p.proname) <> ALL (ours)
            AND p.pronamespace IN (to_regnamespace('imrec'), to_regnamespace('imrec_internal'))
    ) AS n;
    IF one IS NOT NULL THEN
        RAISE 'something that imrec-pg did not make is in its schemas: move or drop % first', one;
    END IF;
    waiting := ARRAY(
        SELECT CASE c.relkind WHEN 'v' THEN 'VIEW ' WHEN 'c' THEN 'TYPE ' ELSE 'TABLE ' END || c.oid::regclass
        FROM pg_class AS c
        WHERE c.relkind IN ('r', 'v', 'c')
            AND c.relnamespace IN (to_regnamespace('imrec'), to_regnamespace('imrec_internal'))
        UNION ALL
        SELECT 'FUNCTION ' || p.oid::regprocedure FROM pg_proc AS p
        WHERE p.pronamespace IN (to_regnamespace('imrec'), to_regnamespace('imrec_internal'))
        UNION ALL
        SELECT 'SCHEMA ' || n.nspname FROM pg_namespace AS n WHERE n.nspname IN ('imrec', 'imrec_internal')
    );
    WHILE cardinality(waiting) > 0 LOOP
        later := '{{}}';
        reasons := '';
        FOREACH one IN ARRAY waiting LOOP
            BEGIN
                EXECUTE 'DROP ' || one;
            EXCEPTION WHEN dependent_objects_still_exist THEN
                later := later || one;
                GET STACKED DIAGNOSTICS reason = PG_EXCEPTION_DETAIL;
                reasons := reasons || E'\\n' || reason;
            END;
        END LOOP;
        IF later = waiting THEN
            SELECT string_agg(DISTINCT n.reason, '; ') INTO reason
            FROM unnest(string_to_array(reasons, E'\\n')) AS n (reason)
            WHERE n.reason <> '' AND split_part(n.reason, ' depends on ', 1) !~ '\\mimrec(_internal)?\\.';
            RAISE 'something that imrec-pg did not make is built on its tables, views or functions, drop it first: %',
                coalesce(reason, reasons);
        END IF;
        waiting := later;
    END LOOP;
END;
$empty$
""")


def empty() -> Composed:
    """Return a statement that fails, and changes nothing, where it finds photos or something of others."""
    ours = [f"{table.schema}.{table.name}" for table in metadata.tables.values()]
    ours += [f"imrec.{VERSION_TABLE}", "imrec.features"]
    for schema, place in (("imrec", "api"), ("imrec_internal", "internal")):
        ours += [f"{schema}.{path.stem}" for path in sorted((folder("sql") / place).glob("*.sql"))]
    return _EMPTY.format(ours=Literal(ours))
