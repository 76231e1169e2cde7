"""Near duplicates: candidates against brute force, groups, verdicts."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray
from psycopg import errors as pg
from psycopg.conninfo import make_conninfo
from support import AddImage, at_angle, bare_session

from imrec_pg.access import grants
from imrec_pg.analysis import duplicates
from imrec_pg.analysis.duplicates import Strictness, add
from imrec_pg.db.connection import Connection
from imrec_pg.errors import InvalidQueryError
from imrec_pg.library import Library
from imrec_pg.records import GrantedRole
from imrec_pg.settings import Settings

COLOURS = np.eye(512)


def flipped(code: bytes, bits: int, rng: np.random.Generator) -> bytes:
    """Return the code with so many bits changed."""
    number = int.from_bytes(code, "big")
    for bit in rng.permutation(64)[:bits]:
        number ^= 1 << int(bit)
    return number.to_bytes(8, "big")


def bits_apart(code: bytes, other: bytes) -> int:
    return (int.from_bytes(code, "big") ^ int.from_bytes(other, "big")).bit_count()


def find(conn: Connection, strictness: Strictness = Strictness.NORMAL) -> tuple[int, int]:
    found = duplicates.find(conn, strictness, crops=False)
    return found.pairs, found.groups


def groups(conn: psycopg.Connection[Any], kind: str = "copy") -> list[list[str]]:
    """Return the names in each group, the keeper first."""
    found: dict[str, list[str]] = {}
    for group_id, path in conn.execute("SELECT group_id, path FROM imrec.duplicates(%s)", (kind,)):
        found.setdefault(str(group_id), []).append(str(path).rpartition("/")[2])
    return sorted(found.values())


def pairs(conn: Connection) -> set[tuple[int, int]]:
    return {
        (UUID(str(a)).int, UUID(str(b)).int)
        for a, b in conn.execute("SELECT image_id, other_id FROM imrec.duplicate_pair")
    }


def copy_of(code: bytes, name: str, number: int, angle: float = 0.0) -> dict[str, object]:
    return {
        "name": name,
        "image_id": UUID(int=number),
        "difference_hash": code,
        "perceptual_hash": code,
        "embedding": at_angle(angle),
        "histogram": COLOURS[number % 512],
    }


def resize(conn: Connection, sizes: dict[int, int]) -> None:
    for number, width in sizes.items():
        conn.execute("UPDATE imrec.image SET width = %s WHERE image_id = %s", (width, UUID(int=number)))


def lose(conn: Connection, name: str, *, back: bool = False) -> None:
    """Say that a file is missing, or that it is back."""
    statement = (
        "DELETE FROM imrec.missing USING imrec.file AS f WHERE missing.file_id = f.file_id AND f.path = %s"
        if back
        else "INSERT INTO imrec.missing (file_id) SELECT file_id FROM imrec.file WHERE path = %s"
    )
    conn.execute(statement.encode(), (f"/photos/{name}.jpg",))


def age(conn: Connection, ages: dict[int, int]) -> None:
    """Make the files of these images so many years old, or at least in that order."""
    for number, years in ages.items():
        conn.execute(
            "UPDATE imrec.file SET mtime_ns = %s WHERE image_id = %s",
            ((50 - years) * 10**9, UUID(int=number)),
        )


# In how many bits hashes may differ: the difference_hash and the perceptual_hash, or either and the other.
BITS = {
    Strictness.STRICT: (3, 3, 3, 16),
    Strictness.NORMAL: (6, 8, 4, 16),
    Strictness.LOOSE: (6, 10, 5, 16),
}


@pytest.fixture
def varied(add_image: AddImage) -> NDArray[np.uint64]:
    """Store 1,500 images, many of them a few bits from others; return their two hashes."""
    rng = np.random.default_rng(1)
    codes: list[tuple[bytes, bytes]] = []
    for number in range(1500):
        if number % 3 and codes:
            base = codes[int(rng.integers(len(codes)))]
            codes.append(
                (flipped(base[0], int(rng.integers(9)), rng), flipped(base[1], int(rng.integers(13)), rng))
            )
        else:
            codes.append((rng.bytes(8), rng.bytes(8)))
    add_image.many(
        {
            "name": f"{number}.jpg",
            "image_id": UUID(int=number + 1),
            "difference_hash": d,
            "perceptual_hash": p,
            "embedding": COLOURS[number % 7],
            "histogram": COLOURS[number % 512],
        }
        for number, (d, p) in enumerate(codes)
    )
    return np.array([[int.from_bytes(code, "big") for code in pair] for pair in codes], dtype=np.uint64)


def by_brute_force(table: NDArray[np.uint64], strictness: Strictness) -> set[tuple[int, int]]:
    most_d, most_p, near, other = BITS[strictness]
    bits = np.bitwise_count(table[:, None] ^ table[None])
    d, p = bits[..., 0], bits[..., 1]
    same = np.arange(len(table)) % 7
    kept = (d <= most_d) & (p <= most_p)
    kept |= (np.minimum(d, p) <= near) & (np.maximum(d, p) <= other) & (same[:, None] == same[None])
    return {(int(a) + 1, int(b) + 1) for a, b in np.argwhere(np.triu(kept, 1))}


@pytest.mark.parametrize("strictness", Strictness)
def test_pairs_are_those_of_brute_force(
    conn: Connection, varied: NDArray[np.uint64], strictness: Strictness
) -> None:
    wanted = by_brute_force(varied, strictness)
    assert len(wanted) > 100
    find(conn, strictness)
    assert pairs(conn) == wanted


def test_pairs_of_new_images_are_those_of_brute_force(conn: Connection, varied: NDArray[np.uint64]) -> None:
    """As if each image had come after a search of nothing; in batches, as ingest has them."""
    conn.execute("INSERT INTO imrec.duplicate_search VALUES (1, 'normal', false)")
    duplicates.add_lacking(conn)
    assert pairs(conn) == by_brute_force(varied, Strictness.NORMAL)


@pytest.mark.parametrize("number", [20, 21, 30])
def test_images_of_one_hash_and_other_hashes_are_all_compared(
    conn: Connection, add_image: AddImage, number: int
) -> None:
    code = np.random.default_rng(3).bytes(8)
    add_image.many(
        copy_of(code, f"{n:02}.jpg", n + 1) | {"average_hash": bytes([n]) + code[1:]} for n in range(number)
    )
    # Of the first hash likewise; the others are of other photos.
    rng = np.random.default_rng(5)
    add_image.many(
        copy_of(code, f"o{n}.jpg", n + 100, 90) | {"perceptual_hash": rng.bytes(8)} for n in range(number)
    )
    find(conn)
    assert [len(group) for group in groups(conn)] == [number]


@pytest.mark.parametrize("later", [False, True])
def test_all_copies_of_very_many_are_in_one_star(
    conn: Connection, add_image: AddImage, *, later: bool
) -> None:
    """Of 60 with the same hashes, those near to them are in the group whichever of all is best."""
    rng = np.random.default_rng(3)
    code = rng.bytes(8)
    add_image.many(copy_of(code, f"{n:02}.jpg", n + 1) for n in range(60))
    if later:
        find(conn)
    near = add_image.many(copy_of(flipped(code, 2, rng), f"near{n}.jpg", n + 100) for n in range(5))
    resize(conn, {101: 500, 30: 400})
    if later:
        add(conn, [image.image_id for image in near])
    else:
        find(conn)
    assert [len(group) for group in groups(conn)] == [65]


def test_a_group_is_a_star_around_the_oldest_and_does_not_chain(
    conn: Connection, add_image: AddImage
) -> None:
    rng = np.random.default_rng(2)
    number = int.from_bytes(rng.bytes(8), "big")
    # Each three bits from the one before, as far as copies may be; the first and the last are twelve bits apart.
    chain = [(number ^ ((1 << 3 * step) - 1)).to_bytes(8, "big") for step in range(5)]
    add_image.many(copy_of(code, f"{n}.jpg", n + 1, 90 * (n % 2)) for n, code in enumerate(chain))
    age(conn, {1: 10, 2: 20, 3: 40, 4: 30, 5: 10})
    find(conn, Strictness.STRICT)
    assert groups(conn) == [["2.jpg", "1.jpg", "3.jpg"]]
    age(conn, {1: 50})
    find(conn, Strictness.STRICT)
    assert groups(conn) == [["0.jpg", "1.jpg"], ["2.jpg", "3.jpg"]]


def test_an_original_near_to_another_one_is_kept_in_its_own_group(
    conn: Connection, add_image: AddImage, dsn: str, new_role: Callable[[], str]
) -> None:
    """Two shots of a scene: the second is near to the first, its copies are not."""
    rng = np.random.default_rng(21)
    first = rng.bytes(8)
    second = flipped(first, 5, rng)
    codes = [first, flipped(first, 1, rng), second]
    while len(codes) < 5:
        copy = flipped(second, 2, rng)
        if bits_apart(copy, first) == 7 and bits_apart(copy, codes[-1]) <= 4:
            codes.append(copy)
    add_image.many(copy_of(code, f"{n}.jpg", n + 1) for n, code in enumerate(codes))
    age(conn, {1: 50, 2: 5, 3: 40, 4: 4, 5: 3})
    find(conn)
    assert groups(conn) == [["0.jpg", "1.jpg"], ["2.jpg", "3.jpg", "4.jpg"]]
    name = new_role()
    grants.grant(conn, GrantedRole.READER, name, create=True, roots=["/photos"])
    with psycopg.connect(make_conninfo(dsn, user=name), autocommit=True) as reader:
        assert groups(reader) == groups(conn)


def test_ten_thousand_flat_pictures_make_one_star(conn: Connection, add_image: AddImage) -> None:
    flat, number = bytes(8), 10_000
    add_image.many(
        copy_of(flat, f"{n}.png", n + 1) | {"histogram": COLOURS[0], "average_hash": flat}
        for n in range(number)
    )
    assert find(conn) == (number - 1, 1)


def test_flat_pictures_are_together_by_their_colours(conn: Connection, add_image: AddImage) -> None:
    add_image.many(
        copy_of(bytes(8), f"{n:02}.png", n + 1, 90 * (n % 2)) | {"histogram": COLOURS[n % 2]}
        for n in range(60)
    )
    assert find(conn) == (58, 2)


def test_flat_pictures_of_other_colours_are_no_pair(conn: Connection, add_image: AddImage) -> None:
    flat = bytes(8)
    add_image.many(copy_of(flat, f"{n}.png", n + 1) | {"average_hash": flat} for n in range(3))
    assert find(conn) == (0, 0)


@pytest.mark.parametrize("number", [0, 1])
def test_without_photos_there_are_no_duplicates(conn: Connection, add_image: AddImage, number: int) -> None:
    add_image.many({"name": f"{n}.jpg"} for n in range(number))
    assert find(conn) == (0, 0)
    assert groups(conn) == []


def three_copies(conn: Connection, add_image: AddImage) -> None:
    code = np.random.default_rng(3).bytes(8)
    add_image.many(copy_of(code, f"{name}.jpg", n + 1) for n, name in enumerate("abc"))
    resize(conn, {1: 30, 2: 20, 3: 10})
    find(conn)


def say(conn: Connection, a: str, b: str, verdict: str | None) -> object:
    row = conn.execute(
        "SELECT imrec.set_verdict(%s, %s, %s)", (f"/photos/{a}.jpg", f"/photos/{b}.jpg", verdict)
    ).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("verdict", ["different", "alternate"])
def test_what_was_said_to_be_no_duplicate_never_comes_back(
    conn: Connection, add_image: AddImage, verdict: str
) -> None:
    three_copies(conn, add_image)
    assert groups(conn) == [["a.jpg", "b.jpg", "c.jpg"]]
    assert say(conn, "c", "a", verdict) is None
    assert groups(conn) == [["a.jpg", "b.jpg"]]
    find(conn)
    assert groups(conn) == [["a.jpg", "b.jpg"]]
    assert say(conn, "a", "c", None) == verdict
    assert groups(conn) == [["a.jpg", "b.jpg", "c.jpg"]]


def test_two_members_said_to_be_different_are_in_no_group_together(
    conn: Connection, add_image: AddImage
) -> None:
    three_copies(conn, add_image)
    say(conn, "b", "c", "different")
    assert groups(conn) == [["a.jpg", "b.jpg"]]


def test_what_was_said_to_be_the_same_joins_also_by_way_of_others(
    conn: Connection, add_image: AddImage
) -> None:
    add_image.many(
        copy_of(np.random.default_rng(n).bytes(8), f"{c}.jpg", n + 1, 90 * n) for n, c in enumerate("abc")
    )
    resize(conn, {1: 30, 2: 20, 3: 10})
    assert find(conn) == (0, 0)
    say(conn, "a", "b", "same")
    say(conn, "b", "c", "same")
    assert groups(conn) == [["a.jpg", "b.jpg", "c.jpg"]]
    say(conn, "b", "c", None)
    assert groups(conn) == [["a.jpg", "b.jpg"]]


def test_a_group_keeps_its_id(conn: Connection, add_image: AddImage) -> None:
    three_copies(conn, add_image)
    ids = "SELECT DISTINCT group_id FROM imrec.duplicates('copy')"
    before = conn.execute(ids).fetchall()
    age(conn, {1: 10, 2: 20, 3: 30})
    find(conn)
    assert groups(conn) == [["c.jpg", "a.jpg", "b.jpg"]]
    assert conn.execute(ids).fetchall() == before


def test_shots_seconds_apart_are_a_burst_and_no_copies(conn: Connection, add_image: AddImage) -> None:
    three_copies(conn, add_image)
    conn.execute(
        "UPDATE imrec.image SET camera_model = 'A', taken_at = timestamp '2024-01-01' "
        "+ CASE WHEN width = 20 THEN interval '2s' WHEN width = 10 THEN interval '1h' ELSE '0' END"
    )
    find(conn)
    assert groups(conn, "burst") == [["a.jpg", "b.jpg"]]
    assert groups(conn) == [["a.jpg", "c.jpg"]]


def test_verdicts_outlive_their_images(conn: Connection, add_image: AddImage) -> None:
    three_copies(conn, add_image)
    say(conn, "a", "c", "different")
    conn.execute("DELETE FROM imrec.file WHERE path LIKE '%c.jpg'")
    conn.execute("DELETE FROM imrec.image WHERE image_id = %s", (UUID(int=3),))
    assert groups(conn) == [["a.jpg", "b.jpg"]]
    code = np.random.default_rng(3).bytes(8)
    add_image.many([copy_of(code, "back.jpg", 3)])
    resize(conn, {3: 10})
    find(conn)
    assert groups(conn) == [["a.jpg", "b.jpg"]]


@pytest.mark.parametrize("searched", [True, False])
def test_new_photos_join_groups_if_the_library_was_searched(
    conn: Connection, add_image: AddImage, searched: bool
) -> None:
    code = np.random.default_rng(3).bytes(8)
    add_image.many(copy_of(code, f"{name}.jpg", n + 1) for n, name in enumerate("ab"))
    resize(conn, {1: 30, 2: 20})
    if searched:
        find(conn)
    conn.execute("LISTEN imrec_duplicate")
    near = flipped(code, 2, np.random.default_rng(4))
    new = add_image.many([copy_of(near, "c.jpg", 3), copy_of(bytes(range(8)), "d.jpg", 4, 90)])
    assert add(conn, [photo.image_id for photo in new]) == (2 if searched else 0)
    assert groups(conn) == ([["a.jpg", "b.jpg", "c.jpg"]] if searched else [])
    told = list(conn.notifies(timeout=5 if searched else 0, stop_after=1))
    # Who may connect may listen: not which photos.
    assert [(one.channel, one.payload) for one in told] == ([("imrec_duplicate", "")] if searched else [])


def test_what_was_not_looked_up_is_by_the_next_ingest(conn: Connection, add_image: AddImage) -> None:
    """An ingest that is killed between the two leaves photos that are stored and not looked up."""
    code = np.random.default_rng(3).bytes(8)
    add_image.many([copy_of(code, "a.jpg", 1)])
    find(conn)
    add_image.many(copy_of(code, f"{name}.jpg", n + 2) for n, name in enumerate("bc"))
    assert conn.execute("SELECT count(*) FROM imrec_internal.unsearched").fetchone() == (2,)
    duplicates.add_lacking(conn)
    assert groups(conn) == [["a.jpg", "b.jpg", "c.jpg"]]
    assert conn.execute("SELECT count(*) FROM imrec_internal.unsearched").fetchone() == (0,)


def test_what_is_stored_during_a_search_is_looked_up_at_its_end(
    conn: Connection, settings: Settings, add_image: AddImage
) -> None:
    """Ingest waits for nothing meanwhile, nor does who says something of two photos."""
    code = np.random.default_rng(3).bytes(8)
    add_image.many(copy_of(code, f"{name}.jpg", n + 1) for n, name in enumerate("ab"))
    find(conn)
    did: list[object] = []

    def meanwhile(step: str, _done: int, _total: int | None) -> None:
        if step == "judging":
            conn.execute("SET lock_timeout = '2s'")
            new = add_image.many([copy_of(code, "c.jpg", 3)])
            did.append(add(conn, [image.image_id for image in new]))
            did.append(say(conn, "a", "b", "different"))

    with bare_session(settings) as other:
        duplicates.find(other, Strictness.NORMAL, crops=False, on_progress=meanwhile)
    assert did == [2, None]
    assert groups(conn) == [["a.jpg", "c.jpg"]]
    assert pairs(conn) == {(1, 2), (1, 3), (2, 3)}


def test_an_original_is_kept_rather_than_its_altered_copies(conn: Connection, add_image: AddImage) -> None:
    """An enlarged one has more pixels and hardly more bytes, a noisy one more bytes; both are younger."""
    code = np.random.default_rng(3).bytes(8)
    add_image.many(copy_of(code, f"{c}.jpg", n + 1) for n, c in enumerate("abcd"))
    resize(conn, {1: 2000, 2: 1000, 3: 1000, 4: 64})
    for number, size in {1: 300, 2: 200, 3: 400, 4: 20}.items():
        conn.execute("UPDATE imrec.image SET size = %s WHERE image_id = %s", (size, UUID(int=number)))
    age(conn, {1: 1, 2: 20, 3: 2, 4: 40})
    find(conn)
    assert groups(conn) == [["b.jpg", "a.jpg", "c.jpg", "d.jpg"]]
    # What comes from a camera is an original, whatever else.
    conn.execute(
        "UPDATE imrec.image SET taken_at = '2024-01-01', camera_model = 'A' WHERE image_id = %s",
        (UUID(int=3),),
    )
    find(conn)
    assert groups(conn) == [["c.jpg", "a.jpg", "b.jpg", "d.jpg"]]


def test_an_old_small_version_is_not_kept_before_the_full_one(conn: Connection, add_image: AddImage) -> None:
    code = np.random.default_rng(3).bytes(8)
    add_image.many(copy_of(code, f"{c}.jpg", n + 1) for n, c in enumerate("ab"))
    resize(conn, {1: 1000, 2: 4000})
    for number, size in {1: 200, 2: 700}.items():
        conn.execute("UPDATE imrec.image SET size = %s WHERE image_id = %s", (size, UUID(int=number)))
    age(conn, {1: 20, 2: 1})
    find(conn)
    assert groups(conn) == [["b.jpg", "a.jpg"]]


def test_crops_are_found_by_what_they_show_and_their_colours(conn: Connection, add_image: AddImage) -> None:
    rng = np.random.default_rng(5)
    crop = copy_of(rng.bytes(8), "crop.jpg", 2, 20) | {"histogram": COLOURS[1]}
    add_image.many([copy_of(rng.bytes(8), "whole.jpg", 1), crop])
    resize(conn, {1: 30})
    assert find(conn) == (0, 0)
    with conn.transaction():
        assert duplicates.find(conn, duplicates.Strictness.NORMAL, crops=True).pairs == 1
    assert groups(conn) == [["whole.jpg", "crop.jpg"]]


def test_a_camera_raw_and_its_picture_are_told_apart_from_copies(
    conn: Connection, add_image: AddImage
) -> None:
    code = np.random.default_rng(3).bytes(8)
    add_image.many(copy_of(code, name, n + 1) for n, name in enumerate(["a.dng", "a.jpg", "b.jpg"]))
    conn.execute("UPDATE imrec.image SET format = 'DNG' WHERE image_id = %s", (UUID(int=1),))
    find(conn)
    assert groups(conn) == [["a.dng", "a.jpg", "b.jpg"]]
    kinds = conn.execute("SELECT path, pair_kind FROM imrec.duplicates('copy') WHERE NOT keeper").fetchall()
    assert kinds == [("/photos/a.jpg", "raw"), ("/photos/b.jpg", "copy")]


def test_groups_come_by_savings(conn: Connection, add_image: AddImage, settings: Settings) -> None:
    three_copies(conn, add_image)
    add_image.many(
        [{"name": "twin.jpg", "image_id": UUID(int=50)}, {"name": "twin2.jpg", "image_id": UUID(int=50)}]
    )
    conn.execute("UPDATE imrec.image SET size = 100 WHERE image_id = %s", (UUID(int=50),))
    with Library(settings) as library:
        exact, copies = library.duplicates()
        assert (exact.kind, exact.savings, copies.kind, copies.savings) == ("exact", 100, "copy", 18)
        assert [photo.path for photo in copies.photos] == ["/photos/a.jpg", "/photos/b.jpg", "/photos/c.jpg"]
        assert library.set_verdict("/photos/b.jpg", UUID(int=3), "different") is None
        assert library.set_verdict("/photos/b.jpg", "/photos/c.jpg", None) == "different"
        assert library.verdicts() == []
        with pytest.raises(InvalidQueryError, match="there is no strictness 'lax'"):
            library.find_duplicates("lax")
        with pytest.raises(
            InvalidQueryError, match=r"no photo is stored under the path or id '/photos/x\.jpg'"
        ):
            library.set_verdict("/photos/b.jpg", "/photos/x.jpg", "same")


def test_missing_photos_are_in_no_group_until_they_are_back(conn: Connection, add_image: AddImage) -> None:
    three_copies(conn, add_image)
    lose(conn, "c")
    assert groups(conn) == [["a.jpg", "b.jpg"]]
    duplicates.add_lacking(conn)
    assert groups(conn) == [["a.jpg", "b.jpg"]]
    lose(conn, "c", back=True)
    duplicates.add_lacking(conn)
    assert groups(conn) == [["a.jpg", "b.jpg", "c.jpg"]]
    # Without the keeper the others make a group; with nobody else there is none.
    lose(conn, "a")
    duplicates.add_lacking(conn)
    assert groups(conn) == [["b.jpg", "c.jpg"]]
    lose(conn, "b")
    assert groups(conn) == []
    duplicates.add_lacking(conn)
    for name in "ab":
        lose(conn, name, back=True)
    duplicates.add_lacking(conn)
    assert groups(conn) == [["a.jpg", "b.jpg", "c.jpg"]]


def test_files_that_are_missing_are_no_exact_copies(conn: Connection, add_image: AddImage) -> None:
    for name in ("c.jpg", "b.jpg", "a.jpg"):
        add_image.many([{"name": name, "image_id": UUID(int=7)}])
    lose(conn, "a")
    assert groups(conn, "exact") == [["b.jpg", "c.jpg"]]
    lose(conn, "b")
    assert groups(conn, "exact") == []


def test_files_of_the_same_bytes_are_exact_copies(conn: Connection, add_image: AddImage) -> None:
    for name in ("b.jpg", "a.jpg"):
        add_image.many([{"name": name, "image_id": UUID(int=7)}])
    assert groups(conn, "exact") == [["a.jpg", "b.jpg"]]


def test_a_verdict_that_makes_no_sense_is_an_error(conn: Connection, add_image: AddImage) -> None:
    three_copies(conn, add_image)
    with pytest.raises(pg.InvalidParameterValue, match="no verdict 'equal'"):
        say(conn, "a", "b", "equal")
    with pytest.raises(pg.InvalidParameterValue, match="same bytes"):
        say(conn, "a", "a", "same")
    with pytest.raises(pg.NoDataFound, match="no photo is stored under"):
        say(conn, "a", "x", "same")
    # What is said of an image that is not stored is kept for the day when it comes back.
    unknown = UUID(int=99)
    conn.execute("SELECT imrec.set_verdict('/photos/a.jpg', %s, 'different')", (str(unknown),))
    assert conn.execute(
        "SELECT other_id FROM imrec.duplicate_verdict WHERE verdict = 'different'"
    ).fetchall() == [(unknown,)]
