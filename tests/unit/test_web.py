"""Parts of the server that need no database: pools, what is remembered, names and tokens, files beneath a folder."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from imrec_pg.errors import UsageError
from imrec_pg.images.beneath import OutsideError, open_beneath
from imrec_pg.web.access import access, is_loopback, is_origin
from imrec_pg.web.pools import BusyError, Pool, Remembered
from imrec_pg.web.static_files import static_files


def test_a_pool_refuses_what_would_only_wait_and_forgets_nobody() -> None:
    async def main() -> None:
        pool, release = Pool("test", 1, 2), threading.Event()
        held = [asyncio.ensure_future(pool.run(release.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await pool.run(int)
        # The second one has not begun, and is dropped; the first one keeps its thread though nobody waits.
        for one in held:
            one.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        late = asyncio.ensure_future(pool.run(int))
        await asyncio.sleep(0.05)
        assert not late.done()
        release.set()
        assert await late == 0
        assert await pool.run(lambda: 7) == 7
        pool.close()

    asyncio.run(main())


def test_what_was_remembered_is_asked_anew_once_forgotten() -> None:
    async def main() -> None:
        pool, asked = Pool("test", 2, 10), list[int]()
        kept: Remembered[int] = Remembered(60)

        def ask() -> int:
            asked.append(1)
            return len(asked)

        def forgotten_meanwhile() -> int:
            kept.forget()
            return ask()

        assert await asyncio.gather(*(kept.get("a", pool, ask) for _ in range(5))) == [1] * 5
        assert await kept.get("b", pool, ask) == 2
        kept.forget()
        assert await kept.get("b", pool, ask) == 3
        # Forgotten while it is made: what was found may be old.
        assert await kept.get("c", pool, forgotten_meanwhile) == 4
        assert await kept.get("c", pool, ask) == 5
        pool.close()

    asyncio.run(main())


def test_other_machines_need_a_token_and_call_this_one_by_its_names() -> None:
    assert access("127.0.0.1", 8765, None).token is None
    assert access("::1", 8765, None).token is None
    assert access("localhost", 8765, None).token is None
    made = access("0.0.0.0", 8765, None, ["Photos.Example"])  # noqa: S104
    assert made.token is not None
    assert len(made.token) >= 40
    assert made.token != access("0.0.0.0", 8765, None).token  # noqa: S104
    assert made.knows_host("photos.example:8765")
    assert not made.knows_host("8.8.8.8")
    one = access("192.0.2.7", 8765, None)
    assert one.knows_host("192.0.2.7:8765")
    assert not one.knows_host("192.0.2.8")
    assert made.token not in repr(made)
    assert not is_loopback("evil.example")


@pytest.mark.parametrize(
    "token", ["", "short", "a token with spaces", 'quotes"quotes"quotes', "ümlaute-ümlaute-ü"]
)
def test_a_token_that_is_short_or_fits_in_no_cookie_is_refused(token: str) -> None:
    with pytest.raises(UsageError, match="token"):
        access("127.0.0.1", 8765, token)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:8765", True),
        ("https://localhost:8765", True),  # a proxy has the certificate
        ("http://LOCALHOST:8765", True),
        ("http://localhost", False),
        ("http://localhost:87655", False),
        ("http://evil.example/localhost:8765", False),
        ("null", False),
        ("localhost:8765", False),
        ("ftp://localhost:8765", False),
    ],
)
def test_an_origin_is_the_pages_own_by_host_and_port(origin: str, *, expected: bool) -> None:
    assert is_origin(origin, "localhost:8765") is expected


def test_files_are_opened_beneath_a_folder_alone(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "root-not"
    (root / "a").mkdir(parents=True)
    outside.mkdir()
    (root / "a" / "file").write_bytes(b"inside")
    (outside / "file").write_bytes(b"secret")
    (root / "near").symlink_to("a/file")
    (root / "far").symlink_to("../root-not/file")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "fifo")
    folder = os.fsencode(root)
    for name in (b"a/file", b"near", b"a/../near"):
        with open_beneath(folder, name) as file:
            assert file.read() == b"inside"
    for name in (b"far", b"folder/file", b"../root-not/file", b"a/../../root-not/file"):
        with pytest.raises(OutsideError):
            open_beneath(folder, name)
    for name in (b"loop", b"fifo", b"a", b"nothing", b""):
        with pytest.raises(OSError):  # noqa: PT011 - another one each
            open_beneath(folder, name)
    (tmp_path / "link").symlink_to(root)
    with open_beneath(os.fsencode(tmp_path / "link"), b"near") as file:
        assert file.read() == b"inside"


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "a" / "file").write_bytes(b"inside")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_bytes(b"secret")
    resolve = os.path.realpath

    def then_swapped(path: bytes) -> bytes:
        resolved = resolve(path)
        if path.endswith(b"file"):
            (tmp_path / "root" / "a").rename(tmp_path / "root" / "b")
            (tmp_path / "root" / "a").symlink_to(tmp_path / "secret")
        return resolved

    monkeypatch.setattr(os.path, "realpath", then_swapped)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        open_beneath(os.fsencode(tmp_path / "root"), b"a/file")


def test_the_page_needs_nothing_from_elsewhere() -> None:
    known = static_files()
    assert {"index.html", "three/three.module.js", "three/LICENSE"} <= set(known)
    # Bare names would need an import map, which the policy forbids.
    assert b"from 'three'" not in known["three/OrbitControls.js"].data.replace(b"* ", b"")
    assert b"<script>" not in known["index.html"].data
    assert b" style=" not in known["index.html"].data
