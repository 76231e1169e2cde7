"""What a restricted reader can find out about photos that are hidden from it: nothing.

Two libraries differ in the hidden photos alone. In one they lie next to what the reader asks for, under the paths
and ids that it guesses; in the other there are as many, somewhere else. Whatever it asks, answers, errors, plans
and the counters of rows that were read must be the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

import numpy as np
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from restricted_readers import BITS, MINE, SHARED, THEIRS, Restricted, photo
from support import AddImage, at_angle, bare_session, new_database, settings_for

from imrec_pg.access import grants
from imrec_pg.catalogue.index import build_index
from imrec_pg.db.connection import Connection
from imrec_pg.ingest.find import root_of
from imrec_pg.paths import file_id
from imrec_pg.records import Feature, GrantedRole, Metric

Q = "array_cat(ARRAY[1, 0], array_fill(0, ARRAY[510]))::vector"
F = f"ARRAY[ROW({Q}, {Q}, B'{BITS}', B'{BITS}', B'{BITS}')::imrec.features]"
GUESS, GUESSED_PATH = f"'{UUID(int=101)}'::uuid", "'/theirs/101.jpg'"
GUESSED_ROOT = f"'{root_of(b'/theirs').root_id}'::uuid"
MY = f"'{UUID(int=1)}'::uuid"
BOTH = f"'{UUID(int=SHARED)}'::uuid"
SETTINGS = (
    (),
    ("hnsw.ef_search = 1", "hnsw.iterative_scan = off", "imrec.min_index_rows = 0", "imrec.ef_search = 1"),
    ("enable_seqscan = off", "enable_sort = off", "enable_hashjoin = off", "imrec.few_images = 0"),
    ("enable_indexscan = off", "enable_bitmapscan = off", "imrec.hamming_budget = 1000000"),
    ("plan_cache_mode = force_generic_plan", "row_security = off", "search_path = ''", "jit = on"),
)
SELECTS = (
    *(f"imrec.search({Q}, 1, method => '{method}')" for method in ("auto", "exact", "approximate")),
    f"imrec.search({Q}, 100, 'histogram', 'manhattan')",
    f"imrec.search({Q}, 9, among => ARRAY[{GUESS}, {MY}, {BOTH}])",
    f'imrec.search({Q}, 9, filter => \'{{"root": "/theirs"}}\')',
    f'imrec.search({Q}, 9, filter => \'{{"under": "/theirs"}}\')',
    f'imrec.search({Q}, 9, filter => \'{{"min_width": 1, "camera": "a", "format": "jpg"}}\')',
    f"imrec.search(B'{BITS}', 5)",
    f"imrec.search('{BITS}', 5, 'difference_hash')",
    f"imrec.similar_to({GUESSED_PATH})",
    f"imrec.similar_to({GUESS})",
    "imrec.similar_to('/theirs/500.jpg')",
    f"imrec.similar_to({BOTH})",
    "imrec.similar_to('/mine/001.jpg', 50, 'average_hash')",
    f"imrec.recommend(ARRAY[{GUESS}])",
    f"imrec.recommend(ARRAY[{MY}], ARRAY[{GUESS}])",
    f"imrec.recommend({F}, '{{}}', 5, combine => 'min', exclude => ARRAY[{GUESS}])",
    f"imrec.fuse({F}, '{{}}', 5)",
    f"imrec.fuse({GUESSED_PATH})",
    f"imrec.fuse({GUESSED_PATH}, fusion => 'reciprocal_rank')",
    f"imrec.fuse({BOTH}::text)",
    f"imrec.hamming_search(B'{BITS}', 5)",
    f"imrec.hamming_within(B'{BITS}', 8)",
    "imrec.duplicates()",
    "imrec.duplicates('copy')",
    f"imrec.duplicates_of({GUESSED_PATH})",
    "imrec.duplicates_of('/mine/001.jpg')",
    "imrec_internal.visible_pairs(current_user)",
    f"imrec_internal.image_at({GUESSED_PATH})",
    f"imrec_internal.stored_features(ARRAY[{GUESS}, {BOTH}])",
    f"imrec_internal.features_of(ARRAY[{GUESS}, {BOTH}])",
    f"imrec_internal.visible_details(current_user, ARRAY[{GUESS}, {BOTH}])",
    "imrec_internal.visible_image_at(current_user, '/theirs/\\x')",
    "imrec_internal.visible_counts(current_user, '{embedding,metadata}', '{9,9}')",
    f"imrec_internal.nearest({F}, '{{}}', 'embedding', NULL, 1, 'mean', '{{}}', '{{}}', NULL, 'auto')",
    f"imrec_internal.visible_files(ARRAY[{GUESSED_ROOT}], ARRAY[{GUESS}])",
    f"imrec_internal.hamming_near(B'{BITS}', 'average_hash', '{{3,7,11}}', 5)",
    f"imrec.visible_photo WHERE path = {GUESSED_PATH}",
    f"imrec.visible_photo WHERE image_id = {GUESS}",
    f"imrec.visible_photo WHERE image_id = {BOTH}",
    "imrec.visible_failure WHERE path = '/theirs/bad.jpg'",
    "imrec.visible_root WHERE name = '/theirs'",
    f"imrec.file WHERE path = {GUESSED_PATH}",
    f"imrec.embedding ORDER BY embedding <=> {Q} LIMIT 1",
    "(SELECT schemaname, tablename, attname FROM pg_stats WHERE schemaname ~ '^imrec' ORDER BY 1, 2, 3) AS s",
    "imrec_internal.access_root",
)
EXPLAIN = "EXPLAIN (ANALYZE, VERBOSE, TIMING OFF, SUMMARY OFF, BUFFERS OFF) "
COUNTERS = """
SELECT 'table', relid::regclass::text, seq_scan, seq_tup_read, idx_scan, idx_tup_fetch
FROM pg_catalog.pg_stat_xact_user_tables WHERE schemaname ~ '^imrec'
UNION ALL
SELECT 'index', c.oid::regclass::text, pg_catalog.pg_stat_get_xact_numscans(c.oid),
    pg_catalog.pg_stat_get_xact_tuples_returned(c.oid), pg_catalog.pg_stat_get_xact_tuples_fetched(c.oid), 0
FROM pg_catalog.pg_class AS c
WHERE c.relkind = 'i' AND c.relnamespace::pg_catalog.regnamespace::text ~ '^imrec'
ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Told:
    """All that one question tells."""

    question: str
    answer: object
    counters: object


def ask(own: Restricted) -> Iterator[Told]:
    """Ask everything, and yield what is told; each question in a transaction of its own."""
    for settings in SETTINGS:
        for select in SELECTS:
            for kind in ("",) if settings or "pg_stats" in select else ("", EXPLAIN):
                question = f"{kind}SELECT * FROM {select}"
                counters: object = None
                with own.conn.transaction(force_rollback=True):
                    for setting in settings:
                        own.conn.execute(f"SET LOCAL {setting}".encode())
                    before = own.rows(COUNTERS)
                    try:
                        answer: object = own.conn.execute(question.encode()).fetchall()
                        counters = [
                            (*old[:2], *(n - o for n, o in zip(new[2:], old[2:], strict=True)))
                            for old, new in zip(before, own.rows(COUNTERS), strict=True)
                        ]
                    except psycopg.Error as error:
                        said = error.diag
                        answer = (
                            *(said.sqlstate, said.message_primary, said.message_detail, said.message_hint),
                            said.context,
                        )
                yield Told(f"{settings}: {question}", answer, counters)


def add_hidden(conn: Connection, folder: bytes, *, near: bool) -> None:
    """Add sixty photos; those near are next to Q and BITS, and have the ids, paths and root that are guessed."""
    rng = np.random.default_rng(5)
    numbers = THEIRS if near else range(10_101, 10_161)
    photos = []
    for i in numbers:
        there = photo(101 + i % 60, (i % 60) / 10 if near else 170 + (i % 60) / 10)
        there |= {"name": f"{i:03}.jpg", "image_id": UUID(int=i)}
        if not near:
            there |= {feature: rng.bytes(8) for feature in ("average_hash", "difference_hash")}
        photos.append(there)
    hidden = AddImage(conn, folder)
    hidden.many(photos)
    # A second file of an image: of one that the reader sees, or of a hidden one.
    hidden.many([photo(10_500, 170), {**photos[0], "name": "500.jpg"} if not near else photo(SHARED, 45)])
    hidden_ids = [UUID(int=i) for i in numbers[:4]]
    mine = [UUID(int=i) for i in (1, 2, 3, 4)]
    # Of the reader's photos with each other; and with hidden ones, or as many of hidden ones alone.
    for one, other in (
        (mine[0], mine[1]),
        *(zip(mine, hidden_ids, strict=True) if near else pairwise([*hidden_ids, UUID(int=numbers[5])])),
    ):
        for table, rest in (("pair", ", 1, 1, 1, 0.1, 0.1, 'copy'"), ("verdict", ", 'same', 'somebody'")):
            if table == "pair" or other != mine[1]:
                conn.execute(
                    f"INSERT INTO imrec.duplicate_{table} VALUES (%s, %s{rest})".encode(), (one, other)
                )
    root = root_of(folder).root_id
    conn.execute(
        "INSERT INTO imrec.failure (file_id, root_id, relative_path, path, size, mtime_ns, error_class, error) "
        "VALUES (%s, %s, 'bad.jpg', %s, 1, 1, 'Empty', 'no bytes')",
        (file_id(root, b"bad.jpg"), root, folder.decode() + "/bad.jpg"),
    )


@pytest.fixture
def other_dsn(template: str) -> Iterator[str]:
    """Yield the dsn of a second database with the newest schema."""
    with new_database(template, "imrec_template") as made:
        yield made


def told_of(dsn: str, role: str, *, near: bool) -> list[Told]:
    with bare_session(settings_for(dsn)) as conn:
        AddImage(conn, b"/mine").many([*(photo(i, 60 + i / 2) for i in MINE), photo(SHARED, 45)])
        add_hidden(conn, b"/theirs" if near else b"/others", near=near)
        build_index(conn, Feature.EMBEDDING, Metric.COSINE)
        conn.execute("VACUUM ANALYZE")
        grants.grant(conn, GrantedRole.READER, role, create=True, roots=["/mine"])
    with psycopg.connect(make_conninfo(dsn, user=role), autocommit=True) as own:
        return list(ask(Restricted(own, role)))


def test_nothing_that_a_reader_can_ask_depends_on_hidden_photos(
    dsn: str, new_role: Callable[[], str], other_dsn: str
) -> None:
    role = new_role()
    near, far = told_of(dsn, role, near=True), told_of(other_dsn, role, near=False)
    answered = [told for told in near if isinstance(told.answer, list)]
    assert 100 < len(answered) < len(near)
    for one, other in zip(near, far, strict=True):
        assert one == other, one.question


def test_a_probe_of_the_index_is_never_answered_by_a_hole(conn: Connection, restricted: Restricted) -> None:
    """ef_search = 1 without iteration gave no row where the nearest photo was hidden: enough to measure it."""
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    for setting in ("hnsw.ef_search = 1", "hnsw.iterative_scan = off", "imrec.min_index_rows = 0"):
        restricted.conn.execute(f"SET {setting}".encode())
    rng = np.random.default_rng(7)
    for degrees in rng.uniform(0, 180, 40):
        probe = "[" + ",".join(map(str, at_angle(degrees))) + "]"
        for method in ("auto", "approximate"):
            statement = "SELECT image_id, certainty FROM imrec.search(%s::text, 1, method => %s)"
            ((image, certainty),) = restricted.rows(statement, probe, method)
            own = {SHARED: 45.0, **{i: 60 + i / 2 for i in MINE}}
            assert image.int == min(own, key=lambda i: abs(own[i] - degrees))
            assert certainty == "exact"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            restricted.rows("SELECT FROM imrec.embedding LIMIT 1")


def test_what_is_read_for_an_empty_answer_does_not_tell_whether_a_hidden_photo_fits(
    conn: Connection, dsn: str, new_role: Callable[[], str]
) -> None:
    """Among 100 photos every plan is the same: with these, a join went on only where a hidden photo fitted."""
    role = new_role()
    AddImage(conn, b"/mine").many({"name": f"{i}.jpg", "image_id": UUID(int=i)} for i in range(1, 600))
    hidden = AddImage(conn, b"/theirs")
    hidden.many({"name": f"{i}.jpg", "image_id": UUID(int=i)} for i in range(10_000, 13_000))
    hidden.many([{"name": "guessed.jpg", "image_id": UUID(int=20_000), "average_hash": b"\xff" * 8}])
    conn.execute(
        "UPDATE imrec.image SET size = 5000, camera_model = 'S' WHERE image_id = %s", (UUID(int=20_000),)
    )
    conn.execute("VACUUM ANALYZE")
    grants.grant(conn, GrantedRole.READER, role, create=True, roots=["/mine"])
    told: list[object] = []
    with psycopg.connect(make_conninfo(dsn, user=role), autocommit=True) as own:
        # What workers read is not among the counters of the session.
        own.execute("SET max_parallel_workers_per_gather = 0")
        restricted = Restricted(own, role)
        for fits, none in (
            (f"imrec.hamming_within(B'{BITS}', 0)", f"imrec.hamming_within(~B'{BITS}', 0)"),
            (
                f"imrec.search({Q}, 5, filter => '{{\"min_size\": 4000}}')",
                f"imrec.search({Q}, 5, filter => '{{\"min_size\": 6000}}')",
            ),
            (
                f'imrec.search({Q}, 5, filter => \'{{"camera": "S"}}\')',
                f'imrec.search({Q}, 5, filter => \'{{"camera": "T"}}\')',
            ),
        ):
            assert read_for(restricted, fits) == read_for(restricted, none), fits
        own.add_notice_handler(lambda diagnostic: told.append(diagnostic.message_detail))
        own.execute("SET client_min_messages = log")
        own.execute("SET debug_print_plan = on")
        restricted.rows(f"SELECT * FROM imrec.search({Q}, 5, filter => '{{\"min_size\": 4000}}')")
        own.execute("SET debug_print_plan = off")
    # The plans of its own statements are sent, none of the tables.
    assert told
    assert not [detail for detail in told if ":aliasname i " in str(detail)]


def read_for(own: Restricted, asked: str) -> list[tuple[object, ...]]:
    """Return by how much the counters of each table and index rise for a question that nothing answers."""
    with own.conn.transaction():
        before = own.rows(COUNTERS)
        assert own.rows(f"SELECT * FROM {asked}") == []
        after = own.rows(COUNTERS)
    return [
        (*old[:2], *(n - o for n, o in zip(new[2:], old[2:], strict=True)))
        for old, new in zip(before, after, strict=True)
    ]
