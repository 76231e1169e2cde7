"""Which root a path belongs to on a host, and how paths are stored so that all hosts agree."""

import unicodedata
from uuid import UUID

import pytest

from imrec_pg.catalogue.roots import RootsHere
from imrec_pg.errors import UsageError
from imrec_pg.ingest.find import new_root, root_of
from imrec_pg.paths import file_id, stored_path
from imrec_pg.records import Root
from imrec_pg.settings import this_host

NFC = unicodedata.normalize("NFC", "Zoë/Åland é.jpg").encode()
NFD = unicodedata.normalize("NFD", "Zoë/Åland é.jpg").encode()


def root(number: int, canonical: bytes, mounted: bytes | None = None, *elsewhere: str) -> Root:
    return Root(UUID(int=number), f"root {number}", canonical, mounted, elsewhere)


@pytest.mark.parametrize("path", [NFC, NFD, b"latin1 \xe4.jpg", b"back\\slash\n%.jpg", b"-x", b" "])
def test_on_linux_bytes_are_kept(path: bytes) -> None:
    assert stored_path(path, "linux", "/") == path


def test_on_macos_both_spellings_are_stored_composed() -> None:
    assert NFC != NFD
    assert stored_path(NFD, "darwin", "/") == stored_path(NFC, "darwin", "/") == NFC
    assert stored_path(b"e\xcc\x81 \xff.jpg", "darwin", "/") == b"e\xcc\x81 \xff.jpg"


def test_on_windows_the_separator_becomes_a_slash() -> None:
    assert stored_path(b"2024\\a b.jpg", "win32", "\\") == b"2024/a b.jpg"


def test_the_host_is_named_by_the_variable_or_the_system() -> None:
    assert this_host({"IMREC_HOST": "nas"}) == "nas"
    assert this_host({"IMREC_HOST": "odd \udcff\n"}) == r"odd \xff\x0a"
    assert this_host({}) == this_host({"IMREC_HOST": ""}) != ""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/photos/2024", 1),
        (b"/photos", 1),
        (b"/photos/inner/x/y", 2),
        (b"/photos/inner", 2),
        (b"/photos/inner2", 1),
        (b"/photosphere", None),
        (b"/", None),
        (b"//photos", None),
        (b"relative", None),
    ],
)
def test_a_path_belongs_to_the_innermost_root_around_it(path: bytes, expected: int | None) -> None:
    here = RootsHere([root(1, b"/elsewhere", b"/photos"), root(2, b"/photos/inner")])
    found = here.around(path)
    assert (found and found.root_id) == (expected and UUID(int=expected))


def test_everything_belongs_to_a_root_at_the_top() -> None:
    (top,) = RootsHere([root(1, b"/")]).counting()
    assert RootsHere([top]).around(b"/a/b") is top


def test_at_one_folder_the_root_mounted_here_counts() -> None:
    mounted, silent, elsewhere = root(1, b"/x", b"/p"), root(2, b"/p"), root(3, b"/p", None, "nas")
    for roots in ([mounted, silent, elsewhere], [elsewhere, silent, mounted]):
        assert RootsHere(roots).counting() == [mounted]
    assert RootsHere([elsewhere, silent]).counting() == [silent]
    assert RootsHere([elsewhere]).counting() == [elsewhere]


def test_a_folder_is_translated_to_the_canonical_path() -> None:
    here = RootsHere([root(1, b"/srv/photos", b"/mnt/p"), root(2, b"/local")])
    assert here.canonical("/mnt/p/2024") == "/srv/photos/2024/"
    assert here.canonical("/mnt/p/") == here.canonical("/mnt") == "/srv/photos/"
    assert here.canonical("/mnt/pp") == "/mnt/pp/"
    assert here.canonical("/local/a") == "/local/a/"
    assert here.canonical("/srv/photos/2024") == "/srv/photos/2024/"
    assert here.canonical("/") == "/"
    apart = RootsHere([root(1, b"/srv/photos", b"/mnt/p"), root(2, b"/data", b"/mnt/q")])
    with pytest.raises(UsageError, match=r"several roots lie below /mnt/, .* --root NAME"):
        apart.canonical("/mnt")
    assert RootsHere([root(1, b"/srv/p"), root(2, b"/srv/q")]).canonical("/srv") == "/srv/"
    assert RootsHere([root(1, b"/srv", b"/m"), root(2, b"/srv/q", b"/m/q")]).canonical("/m") == "/srv/"


def test_a_new_root_is_unlike_one_that_had_its_name() -> None:
    first = root_of(b"/photos")
    moved = Root(first.root_id, "/photos", b"/mnt/photos")
    renamed = Root(first.root_id, "pictures", b"/mnt/photos")
    assert new_root([], b"/photos") == first
    for known in (moved, renamed):
        other = new_root([known], b"/photos")
        assert other.root_id != first.root_id
        assert (other.name, other.raw_path) == ("/photos (2)", b"/photos")
        assert new_root([known, other], b"/photos").name == "/photos (3)"


def test_the_ids_of_a_named_root_are_the_same_on_every_host() -> None:
    """SHA-256 of 'root:photos', and of its first 16 bytes and the path, computed by sha256sum."""
    found = root_of(b"/anywhere", "photos")
    assert found.root_id == UUID("d08a952ae37d3526bb7d9557dd07fc06")
    assert file_id(found.root_id, b"2024/a.jpg") == UUID("294916578938e1c870399e9a299844ae")
