"""Every function works under any search_path: an empty one, and one with planted functions, operators and types."""

import re
from datetime import timedelta
from itertools import product
from pathlib import Path
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from PIL import Image
from psycopg.sql import SQL, Identifier
from support import AddImage, add_analysis, at_angle, new_database, settings_for

import imrec_pg
from imrec_pg.catalogue import claims, files
from imrec_pg.catalogue.index import build_index
from imrec_pg.catalogue.status import status
from imrec_pg.db import migrate
from imrec_pg.db.apply_sql import folder
from imrec_pg.db.connection import Connection
from imrec_pg.extraction import wanted
from imrec_pg.records import Feature, GrantedRole, Metric

VECTOR = "[" + ",".join(["1"] * 512) + "]"
FEATURES = "imrec_internal.stored_features(ARRAY(SELECT image_id FROM imrec.image ORDER BY image_id LIMIT 1))"
VISIBLE = (
    ("recommend", ", '{}', 5, 'embedding', NULL, 'mean', '{}', '{\"min_width\": 1}', NULL, 'auto')"),
    ("fuse", ", '{}', 5, NULL, 'mean', '{}', '{\"root\": \"/photos\"}', NULL, 'auto', 'evidence')"),
)
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
    "imrec.fuse('/photos/0.jpg', fusion => 'reciprocal_rank')",
    "imrec.similar_to('/photos/0.jpg', filter => imrec.filter(under => '/photos', min_width => 1, format => 'jpg'))",
    "imrec.similar_to('/photos/0.jpg', filter => imrec.filter(root => '/photos', camera => 'x'))",
    "imrec.hamming_search(pg_catalog.repeat('01', 32)::pg_catalog.bit(64), 5)",
    "imrec.hamming_within(pg_catalog.repeat('01', 32)::pg_catalog.bit(64), 30)",
    "imrec.similar_to('/photos/0.jpg', filter => imrec.filter(cluster => 1))",
    "imrec.similar_to('/photos/0.jpg', filter => imrec.filter(cluster => 1, on_map => 2))",
    "imrec.similar_to('/photos/0.jpg', filter => imrec.filter(in_box => '{-1,-1,1,1}'))",
    "imrec.fuse('/photos/0.jpg', filter => imrec.filter(cluster => 2, in_box => '{-9,-9,9,9}'))",
    "imrec.clusters()",
    "imrec.clusters('embedding', 2)",
    "imrec.cluster_of('/photos/0.jpg')",
    "imrec.duplicates()",
    "imrec.duplicates_of('/photos/0.jpg')",
    "imrec_internal.duplicate_limit",
    "imrec_internal.limit_of('normal')",
    "imrec_internal.hash_masks(3)",
    "imrec_internal.keeper_rank",
    "imrec_internal.keepers_of('{1,2}', '{2,1}')",
    "imrec_internal.visible_duplicates(current_user, NULL)",
    "imrec_internal.visible_pairs(current_user)",
    "imrec.mapped",
    "imrec_internal.unplaced",
    "imrec.photo",
    "imrec.feature",
    "imrec.prune(dry_run => true)",
    "imrec_internal.hnsw_index",
    *("imrec.visible_photo", "imrec.visible_root", "imrec.visible_failure", "imrec_internal.grant_change"),
    *(f"imrec_internal.visible_{name}(current_user, {FEATURES}{more}" for name, more in VISIBLE),
    "imrec_internal.visible_hashes(current_user, pg_catalog.repeat('01', 32)::pg_catalog.bit(64), 'average_hash', 30)",
    "imrec_internal.visible_image_at(current_user, '/photos/0.jpg')",
    "imrec_internal.visible_details(current_user, ARRAY(SELECT image_id FROM imrec.image))",
    "imrec_internal.visible_counts(current_user, '{embedding,metadata}', '{2,2}')",
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
    add_analysis(conn)
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


def use(dsn: str, folder: Path, target: Path) -> list[object]:
    """Return what a program gets that does everything once."""
    photo = folder / "00.png"
    with imrec_pg.open(dsn) as library:
        result = library.ingest(folder, features=["histogram", "average_hash"], workers=1)
        seen: list[object] = [result.tally.new, result.tally.failed]
        answers = (library.search(photo, k=3, feature=f, explain=True) for f in ("histogram", "average_hash"))
        seen += [[n.path for n in answer] for answer in answers]
        seen.append(
            [n.path for n in library.search([photo], k=3, feature="histogram", dislikes=folder / "01.png")]
        )
        seen.append([n.path for n in library.fuse(photo, k=3, weights={"histogram": 1, "average_hash": 1})])
        seen.append(library.build_index("histogram", "cosine"))
        seen.append(library.tune("histogram", "cosine", k=2, queries=3).images)
        status_ = library.status()
        seen += [status_.images, status_.files, status_.failures]
        seen += [library.failures(), library.missing(), library.has_embeddings(), len(library.indexes())]
        seen.append([root.files for root in library.roots.states()])
        library.export(target)
        seen.append(library.import_(target, replace=True) is not None)
        role = f"planted_{uuid4().hex}"
        library.grant(GrantedRole.READER, role, create=True)
        library.revoke(role)
        seen.append(library.prune(dry_run=True).files)
        (folder / "00.png").rename(folder / "moved.png")
        seen.append(library.ingest(folder, features=["histogram", "average_hash"], workers=1).changes.gone)
        (folder / "moved.png").rename(folder / "00.png")
        seen.append([f.what for f in library.doctor() if f.level == "error"])
    return seen


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    (tmp_path / "pictures").mkdir()
    for i in range(6):
        pixels = rng.integers(0, 256, (30, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{i:02}.png")
    return tmp_path / "pictures"


def set_path(dsn: str, path: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET search_path = {path}".encode())


def test_no_call_of_python_meets_what_others_have_planted(
    template: str, dsn: str, pictures: Path, tmp_path: Path
) -> None:
    expected = use(dsn, pictures, tmp_path / "before")
    assert expected[:2] == [6, 0]
    with new_database(template, "imrec_template") as other:
        with psycopg.connect(other, autocommit=True) as admin:
            plant(admin, "planted")
            plant(admin, "public")
        set_path(other, "planted, public, pg_catalog")
        assert use(other, pictures, tmp_path / "after") == expected


@pytest.mark.parametrize("path", ["''", "extensions", "nowhere", "public, extensions"])
def test_python_works_wherever_pgvector_is_and_whatever_the_path(
    empty_dsn: str, pictures: Path, tmp_path: Path, path: str
) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as admin:
        admin.execute("CREATE SCHEMA extensions")
        admin.execute("CREATE EXTENSION vector SCHEMA extensions")
    set_path(empty_dsn, path)
    migrate.upgrade(settings_for(empty_dsn))
    seen = use(empty_dsn, pictures, tmp_path / "export")
    assert seen[:2] == [6, 0]


def test_the_extension_goes_where_the_role_creates_things(empty_dsn: str) -> None:
    migrate.upgrade(settings_for(empty_dsn))
    with psycopg.connect(empty_dsn) as conn:
        row = conn.execute(
            "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"
        )
        assert row.fetchone() == ("public",)
