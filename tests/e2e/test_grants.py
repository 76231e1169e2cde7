"""Roles made by `imrec-pg db grant`: what each may do, and nothing else."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from e2e.command import Album, Imrec, url_of
from e2e.database import query
from e2e.photos import save_scenes
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

LIGHT = ("--features", "histogram,average_hash,difference_hash,perceptual_hash")


@pytest.fixture
def role(copied_album: Album) -> Iterator[str]:
    """Return the name of a role that does not exist yet, with an awkward name."""
    name = f'Web "App" {uuid4().hex[:8]}'
    yield name
    with psycopg.connect(copied_album.dsn, autocommit=True) as conn:
        if conn.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).rowcount:
            conn.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
            conn.execute(SQL("DROP ROLE {}").format(Identifier(name)))


def as_role(album: Album, imrec: Imrec, name: str) -> Imrec:
    return imrec.on(make_conninfo(album.dsn, user=name))


def test_a_reader_may_search_and_nothing_else(
    copied_album: Album, imrec: Imrec, role: str, folder: Path
) -> None:
    save_scenes(folder, [900])
    copied_album.run("db", "grant", "reader", role, "--create")
    reader = as_role(copied_album, imrec, role)
    image = copied_album.folder / "original.png"
    for options in ([], ["--fuse"], ["--feature", "difference_hash"], ["--under", copied_album.folder]):
        assert len(reader("search", image, *options, "--json").json["neighbours"]) == 5
    assert reader("status", "--json").json["images"] == copied_album.images
    assert "may not do that" in reader("ingest", folder, *LIGHT, code=1).message
    assert reader("tune", code=1).message
    assert reader("index", "drop", "embedding", "cosine", code=1).message
    assert reader("db", "grant", "owner", role, code=1).message
    with psycopg.connect(make_conninfo(copied_album.dsn, user=role), autocommit=True) as conn:
        for statement in (
            "DELETE FROM imrec.image",
            "UPDATE imrec.file SET path = 'x'",
            "INSERT INTO imrec.root VALUES (gen_random_uuid(), 'x', 'x')",
            "TRUNCATE imrec.failure",
            "CREATE TABLE imrec.mine (x int)",
            "DROP FUNCTION imrec.hamming_within",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(statement.encode())


def test_an_ingester_may_store_but_not_change_the_schema(
    copied_album: Album, imrec: Imrec, role: str, folder: Path
) -> None:
    save_scenes(folder, [901, 902])
    copied_album.run("db", "grant", "ingester", role, "--create")
    ingester = as_role(copied_album, imrec, role)
    assert ingester("ingest", folder, "--json", "--no-index").json["new"] == 2
    assert ingester("index", "drop", "embedding", "cosine", code=1).message
    with psycopg.connect(make_conninfo(copied_album.dsn, user=role)) as conn, pytest.raises(psycopg.Error):
        conn.execute("ALTER TABLE imrec.image ADD COLUMN mine text")


def test_a_grant_replaces_the_one_before_and_can_be_revoked(
    copied_album: Album, imrec: Imrec, role: str
) -> None:
    image = copied_album.folder / "original.png"
    copied_album.run("db", "grant", "owner", role, "--create")
    someone = as_role(copied_album, imrec, role)
    assert someone("index", "drop", "embedding", "cosine").code == 0
    copied_album.run("db", "grant", "reader", role)
    assert someone("search", image).code == 0
    assert someone("index", "build", "embedding", "cosine", code=1).message
    copied_album.run("db", "revoke", role)
    assert "may not do that" in someone("search", image, code=1).message
    # The album itself still belongs to who made it.
    assert query(copied_album.dsn, "SELECT count(*) FROM imrec.image")[0][0] == copied_album.images


def test_what_an_upgrade_adds_is_granted_too(copied_album: Album, role: str) -> None:
    copied_album.run("db", "grant", "reader", role, "--create")
    query(copied_album.dsn, "CREATE TABLE imrec.later (x int)")
    with psycopg.connect(make_conninfo(copied_album.dsn, user=role)) as conn:
        assert conn.execute("SELECT * FROM imrec.later").fetchall() == []


def test_roles_that_are_not_there_or_own_everything(copied_album: Album, imrec: Imrec) -> None:
    message = copied_album.run("db", "grant", "reader", "nobody_of_that_name", code=2).message
    assert "--create creates it" in message
    owner = query(copied_album.dsn, "SELECT current_user::text")[0][0]
    assert "owns the schema" in copied_album.run("db", "grant", "reader", str(owner), code=2).message
    assert "no role" in imrec.on(url_of(copied_album.dsn))("db", "revoke", "nobody_at_all", code=2).message


def test_a_reader_of_one_root_knows_nothing_of_the_others(
    copied_album: Album, imrec: Imrec, role: str, folder: Path
) -> None:
    """Of three scenes of its own, one copy of the album's, and a broken file."""
    own = save_scenes(folder, [900, 901, 902])
    shared = copied_album.folder / "scenes" / "0001.jpg"
    copy = folder / "copy.jpg"
    copy.write_bytes(shared.read_bytes())
    (folder / "broken.jpg").write_bytes(b"none")
    copied_album.run("ingest", folder, *LIGHT, code=3)
    grant_reader = ("db", "grant", "reader", role, "--create", "--root", folder)
    assert "no root /nowhere" in copied_album.run(*grant_reader, "--root", "/nowhere", code=2).message
    refused = copied_album.run("db", "grant", "ingester", role, "--create", "--root", folder, code=2)
    assert "--root is for readers" in refused.message
    granted = copied_album.run(*grant_reader)
    assert granted.err == f"{role} is now a reader of {folder}\n"
    assert granted.out == ""
    reader = as_role(copied_album, imrec, role)
    status = reader("status", "--json").json
    assert (status["images"], status["files"], status["failures"]) == (4, 4, 1)
    assert ([root["name"] for root in status["roots"]], status["tunings"]) == ([str(folder)], [])
    assert [failure["path"] for failure in reader("errors", "--json").json] == [str(folder / "broken.jpg")]
    original = copied_album.folder / "original.png"
    for options in (
        ["--weights", "histogram=1,difference_hash=1"],
        ["--feature", "average_hash", "--dislike", copied_album.folder / "scenes" / "0002.jpg"],
    ):
        answer = reader("search", original, *options, "-k", "100", "--json").json
        assert {n["path"] for n in answer["neighbours"]} == {*map(str, own), str(copy)}
        assert {n["copies"] for n in answer["neighbours"]} == {1}
    nothing = reader("search", original, "--feature", "average_hash", "--under", copied_album.folder)
    assert nothing.out == ""
    # The copy's embedding came with the album; none of the others of this root has one.
    assert [n["path"] for n in reader("search", original, "--json").json["neighbours"]] == [str(copy)]
    (folder / "new.jpg").write_bytes(b"none")
    assert "may not do that" in reader("ingest", folder, *LIGHT, code=1).message
    copied_album.run("db", "revoke", role)
    assert "may not do that" in reader("status", code=1).message
