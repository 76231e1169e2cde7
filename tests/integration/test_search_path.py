"""Every function works under any search_path: an empty one, and one with planted functions, operators and types."""

import re
from datetime import timedelta
from itertools import product
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from support import AddImage, at_angle, settings_for

from imrec_pg.catalogue import claims, files
from imrec_pg.catalogue.index import build_index
from imrec_pg.catalogue.status import status
from imrec_pg.db import migrate
from imrec_pg.db.apply_sql import folder
from imrec_pg.db.connection import Connection
from imrec_pg.extraction import wanted
from imrec_pg.records import Feature, Metric

VECTOR = "[" + ",".join(["1"] * 512) + "]"
CALLS = [
    "imrec.similar_to('/photos/0.jpg')",
    "imrec.similar_to('00000000-0000-0000-0000-000000000001'::pg_catalog.uuid)",
    "imrec.similar_to('/photos/0.jpg', feature => 'average_hash')",
    "imrec.similar_to('/photos/0.jpg', feature => 'histogram', metric => 'manhattan', method => 'exact')",
    f"imrec.search('{VECTOR}')",
    "imrec.search(pg_catalog.repeat('01', 32))",
    "imrec.search(pg_catalog.repeat('01', 32), feature => 'perceptual_hash')",
    *(
        f"imrec.{name}(ARRAY(SELECT image_id FROM imrec.image ORDER BY image_id LIMIT 3), "
        f"ARRAY(SELECT image_id FROM imrec.image ORDER BY image_id DESC LIMIT 2), combine => '{combine}')"
        for name in ("recommend", "fuse")
        for combine in ("mean", "min")
    ),
    "imrec.fuse('/photos/0.jpg')",
    "imrec.similar_to('/photos/0.jpg', filter => imrec.filter(under => '/photos', min_width => 1, format => 'jpg'))",
    "imrec.similar_to('/photos/0.jpg', filter => imrec.filter(root => '/photos', camera => 'x'))",
    "imrec.hamming_search(pg_catalog.repeat('01', 32)::pg_catalog.bit(64), 5)",
    "imrec.hamming_within(pg_catalog.repeat('01', 32)::pg_catalog.bit(64), 30)",
    "imrec.photo",
    "imrec.feature",
    "imrec.prune(dry_run => true)",
    "imrec_internal.hnsw_index",
    "imrec_internal.caller",
    "imrec_internal.live_workers()",
]


OPERATORS = ("=", "<>", "<", ">", "<=", ">=", "||", "+", "-", "*", "/", "->", "->>", "?", "<=>", "<->", "<~>")
OPERANDS = [
    *((t, t) for t in ("uuid", "text", "bigint", "integer", "double precision", "bit", "jsonb", "uuid[]")),
    *(("public.vector", "public.vector"), ("jsonb", "text"), ("bigint", "integer")),
]


@pytest.fixture
def library(conn: Connection, add_image: AddImage) -> Connection:
    add_image.many(
        {"name": f"{i}.jpg", "embedding": at_angle(i), "average_hash": bytes([i]) * 8} for i in range(60)
    )
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    conn.execute("SET imrec.min_index_rows = 0")
    return conn


def answers(conn: Connection) -> list[list[tuple[object, ...]]]:
    # As text: under another path a value of type vector would be shown all the same, but compared otherwise.
    return [
        sorted(conn.execute(f"SELECT x::pg_catalog.text FROM {call} AS x".encode()).fetchall())
        for call in CALLS
    ]


def work(conn: Connection, add_image: AddImage) -> None:
    """Do what an ingest does in the database."""
    worker = claims.Worker(uuid4(), "host", 1, timedelta(minutes=1))
    claims.renew(conn, worker, locked=False)
    stored = add_image("new.jpg")
    assert files.lacking_features(conn, [stored.image_id], wanted())
    assert files.file_states(conn, [], wanted(), retry=False) == []
    assert claims.claim(conn, worker, []) == {}
    status(conn, "host", wanted())


def test_an_empty_search_path_changes_no_answer(library: Connection, add_image: AddImage) -> None:
    before = answers(library)
    library.execute("SET search_path = ''")
    assert answers(library) == before
    work(library, add_image)


def test_every_function_is_bound_when_created_or_pins_its_search_path(conn: Connection) -> None:
    rows = conn.execute(
        "SELECT oid::regprocedure::text FROM pg_proc "
        "WHERE pronamespace IN ('imrec'::regnamespace, 'imrec_internal'::regnamespace) AND prosqlbody IS NULL "
        "AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)"
    ).fetchall()
    assert rows == []


@pytest.fixture
def planted(conn: Connection) -> None:
    """Plant in a schema, and in public, whatever our SQL could pick up by mistake; each raises when it is called."""
    plant(conn, "planted")
    plant(conn, "public")


def plant(conn: Connection, schema: str) -> None:
    words = set()
    for path in folder("sql").rglob("*.sql"):
        words |= set(re.findall(r"\b[a-z_]+\b", path.read_text(encoding="utf-8")))
    name = Identifier(schema)
    conn.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
    signatures = conn.execute(
        "SELECT proname, pg_get_function_identity_arguments(oid), pg_get_function_result(oid), prokind = 'a' "
        "FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY (%s) AND prokind IN ('f', 'a')",
        (sorted(words),),
    ).fetchall()
    concrete = [
        (f, args, result)
        for f, args, result in (
            ("cardinality", "uuid[]", "integer"),
            ("cardinality", "text[]", "integer"),
            ("array_position", "uuid[], uuid", "integer"),
            ("array_remove", "uuid[], uuid", "uuid[]"),
            ("array_remove", "integer[], integer", "integer[]"),
            ("array_to_string", "text[], text", "text"),
            ("array_fill", "real, integer[]", "real[]"),
            ("format", "text, text", "text"),
            ("format", "text, text, text", "text"),
            ("concat_ws", "text, text, text", "text"),
            ("jsonb_build_object", "text, text", "jsonb"),
            ("generate_series", "integer, integer", "SETOF integer"),
        )
    ]
    made = 0
    for f, args, result in [*((str(a), str(b), str(c)) for a, b, c, _ in signatures), *concrete]:
        statement = (
            f"CREATE OR REPLACE FUNCTION {schema}.{f}({args}) RETURNS {result} LANGUAGE plpgsql "
            f"AS 'BEGIN RAISE EXCEPTION ''a planted {f}''; END'"
        )
        try:
            with conn.transaction():
                conn.execute(statement.encode())
            made += 1
        except psycopg.Error:  # of internal types, or with OUT parameters
            continue
    assert made > 100
    for operator, (left, right) in product(OPERATORS, OPERANDS):
        function = f"{schema}.planted_{len(operator)}_{abs(hash((operator, left, right)))}"
        try:
            with conn.transaction():
                conn.execute(
                    f"CREATE OR REPLACE FUNCTION {function}(a {left}, b {right}) RETURNS boolean LANGUAGE plpgsql "
                    f"AS 'BEGIN RAISE EXCEPTION ''a planted operator''; END'".encode()
                )
                conn.execute(
                    f"CREATE OPERATOR {schema}.{operator} "
                    f"(LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = {function})".encode()
                )
        except psycopg.Error:
            continue
    if schema != "public":
        for type_ in ("uuid", "text", "bigint", "jsonb", "timestamp", "vector", "boolean", "integer"):
            conn.execute(f'CREATE DOMAIN {schema}."{type_}" AS pg_catalog.name'.encode())


def test_planted_functions_operators_and_types_are_never_called(
    library: Connection, planted: None, dsn: str
) -> None:
    del planted
    library.execute("SET search_path = pg_catalog")
    before = answers(library)
    for path in ("planted, pg_catalog, public", "public, planted, pg_catalog", "pg_catalog, planted, public"):
        library.execute(f"SET search_path = {path}".encode())
        assert answers(library) == before
    # Nor bound, when an upgrade creates all functions anew.
    with psycopg.connect(dsn, autocommit=True) as admin:
        database = Identifier(admin.info.dbname)
        admin.execute(SQL("ALTER DATABASE {} SET search_path = planted, pg_catalog, public").format(database))
    migrate.upgrade(settings_for(dsn))
    library.execute("SET search_path = planted, pg_catalog, public")
    assert answers(library) == before


def test_a_planted_function_of_a_caller_does_raise_when_it_is_called(
    library: Connection, planted: None
) -> None:
    """What this file relies on."""
    del planted
    library.execute("SET search_path = planted, pg_catalog")
    with pytest.raises(psycopg.errors.RaiseException, match="a planted cardinality"):
        library.execute("SELECT cardinality('{}'::pg_catalog.uuid[])")
