"""What an ingester may write, which is what ingest writes; and what becomes of it with later versions."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest
from PIL import Image
from psycopg import errors as pg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from support import AddImage, running_on, settings_for

from imrec_pg import doctor
from imrec_pg.access import grants
from imrec_pg.backup.parquet import export_library, import_library
from imrec_pg.catalogue import claims, root_files
from imrec_pg.catalogue.missing import prune
from imrec_pg.db import migrate
from imrec_pg.db.connection import Connection, connect
from imrec_pg.db.session import Session
from imrec_pg.errors import PermissionDeniedError
from imrec_pg.features.model import EmbedderSource
from imrec_pg.ingest.find import root_of
from imrec_pg.ingest.pipeline import IngestOptions, IngestResult, ingest
from imrec_pg.ingest.roots import NamedRoots
from imrec_pg.ingest.write import Merged, write_batch
from imrec_pg.paths import file_id
from imrec_pg.records import Feature, Features, FoundFile, GrantedRole, ImageInfo, StoredImage
from imrec_pg.settings import this_host

LIGHT = IngestOptions(
    features=(Feature.HISTOGRAM, Feature.AVERAGE_HASH), workers=1, accept_deletions=True, retry_for_s=0
)


@pytest.fixture
def ingester(conn: Connection, dsn: str, new_role: Callable[[], str]) -> str:
    """Return the dsn of a role that may ingest."""
    role = new_role()
    grants.grant(conn, GrantedRole.INGESTER, role, create=True)
    return make_conninfo(dsn, user=role)


def ingest_as(dsn: str, *folders: Path, options: IngestOptions = LIGHT) -> IngestResult:
    with closing(Session(settings_for(dsn))) as session:
        return ingest(
            session, [bytes(folder) for folder in folders], EmbedderSource(settings_for("")), options
        )


def save(path: Path, seed: int) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (16, 16, 3), np.uint8)).save(path)


def test_all_that_ingest_prune_and_root_write_is_granted(
    conn: Connection, ingester: str, tmp_path: Path
) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.png", number)
    (tmp_path / "bad.jpg").write_bytes(b"none")
    assert ingest_as(ingester, tmp_path).tally.new == 3
    save(tmp_path / "0.png", 9)
    (tmp_path / "1.png").unlink()
    (tmp_path / "bad.jpg").unlink()
    conn.execute("UPDATE imrec.histogram SET version = 0")
    conn.execute("UPDATE imrec.image SET version = 0")
    changed = ingest_as(ingester, tmp_path, options=replace(LIGHT, refresh=True))
    assert (changed.tally.replaced, changed.changes.gone) == (1, 1)
    with psycopg.connect(ingester, autocommit=True) as own:
        assert prune(own, timedelta(0), dry_run=False).files == 1
        roots = NamedRoots(running_on(own), "a")
        roots.rename(str(tmp_path), "photos")
        roots.add("photos", tmp_path)
        roots.forget_host("photos", "a")
        assert roots.remove("photos").files == 2
        own.execute(
            "INSERT INTO imrec.model (name, weights_sha256) VALUES ('resnet18', 'ab') ON CONFLICT DO NOTHING"
        )
    assert conn.execute(
        "SELECT (SELECT count(*) FROM imrec.image), (SELECT count(*) FROM imrec.failure)"
    ).fetchall() == [(0, 0)]


def test_an_ingester_may_import_what_is_new_but_not_replace_what_is_there(
    conn: Connection, ingester: str, tmp_path: Path
) -> None:
    AddImage(conn).many([{"name": "1.jpg"}, {"name": "2.jpg"}])
    conn.execute("INSERT INTO imrec.model (name, weights_sha256) VALUES ('resnet18', repeat('ab', 32))")
    export_library(conn, tmp_path / "export")
    conn.execute("DELETE FROM imrec.file; DELETE FROM imrec.image")
    with connect(settings_for(ingester)) as own:
        import_library(own, tmp_path / "export")
        assert own.execute("SELECT count(*) FROM imrec.embedding").fetchone() == (2,)
        with pytest.raises(PermissionDeniedError, match="model"):
            import_library(own, tmp_path / "export", replace=True)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE imrec.schema_version SET version_num = '9999'",
        "DELETE FROM imrec.hamming_flip",
        "INSERT INTO imrec.tuning VALUES ('embedding', 'cosine', 1, 10, 1, 1, 1, 1, 1, 1, 1)",
        "INSERT INTO imrec.evidence VALUES ('embedding', 'cosine', '{0}', '{9}', 1, 1)",
        "UPDATE imrec.model SET weights_sha256 = ''",
        "DELETE FROM imrec.model",
        "DELETE FROM imrec.embedding",
        "INSERT INTO imrec.diary VALUES (1)",
        "DELETE FROM imrec_internal.access_root",
        "UPDATE imrec_internal.applied_sql SET digest = ''",
        "INSERT INTO imrec_internal.lock VALUES ('x')",
    ],
)
def test_nothing_else_is(conn: Connection, ingester: str, statement: str) -> None:
    """Also not what is made later by the same owner."""
    conn.execute("CREATE TABLE imrec.diary (x int)")
    with psycopg.connect(ingester) as own, pytest.raises(pg.InsufficientPrivilege):
        own.execute(statement.encode())


def test_an_upgrade_grants_what_ingest_writes_to_those_who_may_ingest(
    conn: Connection, dsn: str, ingester: str, new_role: Callable[[], str]
) -> None:
    """A table that is new in a version has no privileges yet."""
    reader = new_role()
    grants.grant(conn, GrantedRole.READER, reader, create=True)
    conn.execute("REVOKE ALL ON imrec.perceptual_hash FROM " + Identifier(_user(ingester)).as_string(conn))
    migrate.upgrade(settings_for(dsn))
    asked = "SELECT has_table_privilege(%s, 'imrec.perceptual_hash', %s)"
    may = {
        (role, verb): conn.execute(asked, (role, verb)).fetchone()
        for role in (_user(ingester), reader)
        for verb in ("INSERT", "UPDATE", "DELETE")
    }
    assert [verb for (role, verb), yes in may.items() if role == reader and yes == (True,)] == []
    assert [verb for (role, verb), yes in may.items() if role != reader and yes == (True,)] == [
        "INSERT",
        "UPDATE",
    ]


def test_doctor_finds_what_an_ingester_lacks_and_its_fix_is_enough(
    conn: Connection, dsn: str, ingester: str, new_role: Callable[[], str]
) -> None:
    def findings(role_dsn: str) -> list[doctor.Finding]:
        found = doctor.examine(settings_for(role_dsn))
        return [f for f in found if f.check == "privileges" and "ingest" in f.what]

    assert ["may ingest" in finding.what for finding in findings(ingester)] == [True]
    role = new_role()
    grants.grant(conn, GrantedRole.READER, role, create=True)
    conn.execute(SQL("GRANT INSERT ON imrec.model TO {}").format(Identifier(role)))
    (finding,) = findings(make_conninfo(dsn, user=role))
    assert (
        "INSERT, UPDATE, DELETE on claim, duplicate_member, duplicate_pair, duplicate_seen, duplicate_verdict, failure"
        in finding.what
    )
    assert "model" not in finding.what
    assert finding.fix is not None
    conn.execute(finding.fix[finding.fix.index("GRANT") :].encode())
    assert ["may ingest" in finding.what for finding in findings(make_conninfo(dsn, user=role))] == [True]


def test_a_retry_without_folders_reads_only_roots_that_were_said_to_lie_here(
    conn: Connection, ingester: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever may ingest may store a root of any path, with failures in it, for somebody else to read."""
    folders = {name: tmp_path / name for name in ("mine", "planted", "elsewhere")}
    for folder in folders.values():
        folder.mkdir()
        (folder / "photo.png").write_bytes(b"none")
    assert ingest_as(ingester, folders["mine"]).tally.failed == 1
    with psycopg.connect(ingester, autocommit=True) as own:
        for name in ("planted", "elsewhere"):
            root = root_of(bytes(folders[name]))
            own.execute("INSERT INTO imrec.root VALUES (%s, %s, %s)", (root.root_id, name, root.raw_path))
            own.execute(
                "INSERT INTO imrec.failure (file_id, root_id, relative_path, path, size, mtime_ns, error_class, error) "
                "VALUES (%s, %s, 'photo.png', 'x', 4, 1, 'Empty', 'x')",
                (file_id(root.root_id, b"photo.png"), root.root_id),
            )
        own.execute("INSERT INTO imrec.mount VALUES (%s, 'another', %s)", (root.root_id, root.raw_path))
    for folder in folders.values():
        save(folder / "photo.png", len(folder.name))
    assert ingest_as(conn.info.dsn).tally.new == 1
    assert "not tried again" in caplog.text
    assert "elsewhere, planted" in caplog.text
    stored = "SELECT path FROM imrec.file"
    assert conn.execute(stored).fetchall() == [(str(folders["mine"] / "photo.png"),)]
    # Named, or mounted here, it is read.
    assert ingest_as(conn.info.dsn, folders["planted"], options=replace(LIGHT, retry=True)).tally.new == 1
    NamedRoots(running_on(conn), this_host()).add("elsewhere", folders["elsewhere"])
    assert ingest_as(conn.info.dsn).tally.new == 1


def test_a_batch_in_flight_is_not_stored_in_a_new_root_of_a_removed_ones_name(conn: Connection) -> None:
    """It has the same id, lies somewhere else perhaps, and may have other readers."""
    root = root_of(b"/old", "clients")
    AddImage(conn, b"/photos")
    conn.execute("INSERT INTO imrec.root VALUES (%s, %s, %s)", (root.root_id, root.name, root.raw_path))
    worker = claims.Worker(root.root_id, "host", 1, timedelta(minutes=1))
    claims.renew(conn, worker, locked=False)
    key = file_id(root.root_id, b"a.jpg")
    found = FoundFile(root.root_id, key, b"a.jpg", b"/old/a.jpg", 9, 1)
    token = claims.claim(conn, worker, [found])[key]
    root_files.forget(conn, root.root_id, lambda _files: None)
    conn.execute("INSERT INTO imrec.root VALUES (%s, %s, '/new')", (root.root_id, root.name))
    info = ImageInfo(root.root_id, 9, 4, 3, "JPEG", None, None, None)
    features = Features(average_hash=b"8 bytes.", difference_hash=b"8 bytes.")
    late = StoredImage(root.root_id, info, (replace(found, token=token),), features)
    assert write_batch(conn, [late]) == Merged(0, 0, 0, elsewhere=1)
    assert conn.execute("SELECT FROM imrec.file").fetchall() == []


def _user(dsn: str) -> str:
    with psycopg.connect(dsn) as own:
        return own.info.user
