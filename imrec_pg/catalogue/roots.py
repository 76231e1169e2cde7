"""Roots: their names, their canonical paths, and where they lie on each host."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import errors as pg

from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.privileges import is_restricted
from imrec_pg.db.rows import all_rows
from imrec_pg.errors import RootExistsError, UsageError
from imrec_pg.paths import display_path, slashed
from imrec_pg.records import Root

_ROOTS = """
SELECT r.root_id, r.name, r.raw_path, h.raw_path AS mounted, ARRAY(
    SELECT m.host FROM imrec.mount AS m WHERE m.root_id = r.root_id AND m.host <> %(host)s ORDER BY m.host
) AS elsewhere
FROM imrec.root AS r
LEFT JOIN imrec.mount AS h ON h.root_id = r.root_id AND h.host = %(host)s
ORDER BY r.name
"""
# The same for a reader of some roots.
_VISIBLE_ROOTS = """
SELECT r.root_id, r.name, r.raw_path, r.folders[array_position(r.hosts, %(host)s)] AS mounted,
    array_remove(r.hosts, %(host)s) AS elsewhere
FROM imrec.visible_root AS r ORDER BY r.name
"""
_VISIBLE_FILES = "SELECT root_id, count(*) AS files FROM imrec.visible_photo GROUP BY root_id"
_FILES = "SELECT root_id, count(*) AS files FROM imrec.file GROUP BY root_id"
_ADD = "INSERT INTO imrec.root (root_id, name, raw_path) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_ADD_MOUNT = "INSERT INTO imrec.mount (root_id, host, raw_path) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
# Two hosts that say at once where a root lies must see each other.
_LOCK = "SELECT FROM imrec.root WHERE root_id = %s FOR NO KEY UPDATE"
_MOUNT = """
INSERT INTO imrec.mount (root_id, host, raw_path) VALUES (%s, %s, %s)
ON CONFLICT (root_id, host) DO UPDATE SET raw_path = excluded.raw_path
"""
_MAKE_CANONICAL = """
UPDATE imrec.root AS r SET raw_path = %(folder)s
WHERE r.root_id = %(root)s AND (r.raw_path = %(folder)s OR NOT EXISTS (
    SELECT FROM imrec.mount AS m WHERE m.root_id = r.root_id AND m.host <> %(host)s
))
RETURNING true
"""


class RootsHere:
    """The roots as one host sees them.

    Of several at one folder the one counts that was said to lie there on this host, else one of which nothing
    was said, and last one that was said to lie on other hosts alone.
    """

    def __init__(self, roots: Sequence[Root]) -> None:
        self.all = list(roots)
        self._by_id = {root.root_id: root for root in roots}
        self._by_folder: dict[bytes, Root] = {}
        for root in sorted(roots, key=lambda root: (root.mounted is None, bool(root.elsewhere))):
            self._by_folder.setdefault(slashed(root.here), root)

    def add(self, root: Root) -> None:
        """Take in a root that is new here."""
        self.all.append(root)
        self._by_id[root.root_id] = root
        self._by_folder[slashed(root.here)] = root

    def counting(self) -> list[Root]:
        """Return those that count on this host."""
        return list(self._by_folder.values())

    def shown(self, root_id: UUID, relative: bytes) -> str | None:
        """Return a file's path on this host, for display; None where its root is newer than this list."""
        root = self._by_id.get(root_id)
        return None if root is None else display_path(slashed(root.here) + relative)

    def named(self, name: str) -> Root | None:
        """Return the root of that name."""
        return next((root for root in self.all if root.name == name), None)

    def around(self, path: bytes) -> Root | None:
        """Return the innermost root that holds an absolute path, itself included."""
        while (root := self._by_folder.get(slashed(path))) is None:
            parent = os.path.dirname(path.rstrip(b"/")) or b"/"  # noqa: PTH120 - bytes
            if parent == path:
                return None
            path = parent
        return root

    def canonical(self, folder: str) -> str:
        """Return the canonical path of a folder of this host, both as they are displayed.

        Raises:
            UsageError: several roots lie below it, and no one canonical path stands for all of them.
        """
        folder = folder.rstrip("/") + "/"
        here = {
            display_path(slashed(root.here)): display_path(slashed(root.raw_path)) for root in self.counting()
        }
        around = max((shown for shown in here if folder.startswith(shown)), key=len, default=None)
        found = {known for shown, known in here.items() if shown.startswith(folder)}
        if around is not None:
            found.add(here[around] + folder[len(around) :])
        if all(known.startswith(folder) for known in found):
            return folder
        outermost = [a for a in found if not any(a != b and a.startswith(b) for b in found)]
        if len(outermost) > 1:
            raise UsageError(
                f"several roots lie below {folder}, and SQL knows them by paths apart: "
                "name a folder inside one of them, or say --root NAME"
            )
        return outermost[0]


@dataclass(frozen=True, slots=True)
class RootState:
    """A root for people.

    Attributes:
        path: where it lies on this host.
        canonical: the path by which SQL knows its files.
        mounted: whether it was said where it lies on this host.
        elsewhere: the other hosts for which it was said.
        gone: whether it was said that it lies on this host, and its folder is not there.
    """

    root_id: UUID
    name: str
    path: str
    canonical: str
    mounted: bool
    elsewhere: tuple[str, ...]
    files: int
    gone: bool = False


@dataclass(frozen=True, slots=True)
class _RootRow:
    root_id: UUID
    name: str
    raw_path: bytes
    mounted: bytes | None
    elsewhere: list[str]


@dataclass(frozen=True, slots=True)
class _FileCount:
    root_id: UUID
    files: int


def roots_here(conn: Connection, host: str) -> RootsHere:
    """Return all roots, by name, as a host sees them."""
    with translated(conn):
        rows = all_rows(conn, _RootRow, _VISIBLE_ROOTS if is_restricted(conn) else _ROOTS, {"host": host})
    return RootsHere(
        [Root(row.root_id, row.name, row.raw_path, row.mounted, tuple(row.elsewhere)) for row in rows]
    )


def states(conn: Connection, host: str) -> list[RootState]:
    """Return all roots with the number of their files, by name."""
    with translated(conn):
        counts = all_rows(conn, _FileCount, _VISIBLE_FILES if is_restricted(conn) else _FILES)
    files = {row.root_id: row.files for row in counts}
    return [
        RootState(
            root_id=root.root_id,
            name=root.name,
            path=display_path(root.here),
            canonical=display_path(root.raw_path),
            mounted=root.mounted is not None,
            elsewhere=root.elsewhere,
            files=files.get(root.root_id, 0),
            gone=is_gone(root),
        )
        for root in roots_here(conn, host).all
    ]


def is_gone(root: Root) -> bool:
    """Return whether it was said that a root lies on this host, and its folder is not there."""
    return root.mounted is not None and not os.path.isdir(root.mounted)  # noqa: PTH112 - bytes


def add_root(conn: Connection, root: Root, host: str | None = None) -> None:
    """Store a root, and that it lies at its path on the host; nothing happens when it is known."""
    with translated(conn), conn.transaction():
        conn.execute(_ADD, (root.root_id, root.name, root.raw_path))
        if host is not None:
            conn.execute(_ADD_MOUNT, (root.root_id, host, root.here))


def mount(conn: Connection, root_id: UUID, host: str, folder: bytes) -> bool:
    """Say where a root lies on a host; return whether that is its canonical path, now or already.

    It becomes that when no other host has said where the root lies.
    """
    with translated(conn), conn.transaction():
        conn.execute(_LOCK, (root_id,))
        conn.execute(_MOUNT, (root_id, host, folder))
        row = conn.execute(_MAKE_CANONICAL, {"root": root_id, "host": host, "folder": folder}).fetchone()
    return row is not None


def unmount(conn: Connection, root_id: UUID, host: str) -> bool:
    """Forget where a root lies on a host; return whether it was known."""
    with translated(conn):
        cur = conn.execute("DELETE FROM imrec.mount WHERE root_id = %s AND host = %s", (root_id, host))
    return cur.rowcount > 0


def rename(conn: Connection, root_id: UUID, name: str) -> None:
    """Give a root another name; its id stays.

    Raises:
        UsageError: another root has that name.
    """
    with translated(conn):
        try:
            conn.execute("UPDATE imrec.root SET name = %s WHERE root_id = %s", (name, root_id))
        except pg.UniqueViolation as error:
            raise RootExistsError(name) from error
