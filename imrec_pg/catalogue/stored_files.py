"""Whether a file on this host is a stored photo, under whatever path."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from psycopg.sql import SQL, Identifier

from imrec_pg.catalogue.roots import RootsHere
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.privileges import is_restricted
from imrec_pg.db.rows import all_rows, value
from imrec_pg.images.content import DEFAULT_LIMITS
from imrec_pg.paths import absolute, slashed, stored_path

# Reads the whole table (0.1 s for a million files): links may lead to a file from any folder.
_NAMED = SQL("""
SELECT root_id, relative_path FROM {files}
WHERE relative_path = %(name)s
    OR substring(relative_path FROM octet_length(relative_path) - %(length)s) = %(below)s
UNION ALL
SELECT root_id, relative_path FROM {failures}
WHERE relative_path = %(name)s
    OR substring(relative_path FROM octet_length(relative_path) - %(length)s) = %(below)s
""")
_ALL_NAMED = _NAMED.format(files=Identifier("imrec", "file"), failures=Identifier("imrec", "failure"))
# The same, and the question below, for a reader of some roots.
_VISIBLE_NAMED = _NAMED.format(
    files=Identifier("imrec", "visible_photo"), failures=Identifier("imrec", "visible_failure")
)
_IS_STORED = "SELECT EXISTS (SELECT FROM imrec.image WHERE image_id = %s)"
_IS_VISIBLE = "SELECT EXISTS (SELECT FROM imrec_internal.features_of(ARRAY[%s::uuid]))"


@dataclass(frozen=True, slots=True)
class _Named:
    root_id: UUID
    relative_path: bytes


def holds(conn: Connection, roots: RootsHere, path: Path) -> bool:
    """Return whether a path is that of a stored photo, leads to one by links, or holds a stored image.

    A file that could not be read counts as well: it is the user's photo all the same.
    """
    raw = absolute(path)
    try:
        found = os.stat(raw)  # noqa: PTH116 - bytes
    except OSError:  # a link that leads nowhere; its own name may be stored
        found = None
    if found is not None and _is_stored_image(conn, raw, found):
        return True
    real = os.path.realpath(raw)
    names = {stored_path(os.path.basename(spelled)) for spelled in (raw, real)}  # noqa: PTH119 - bytes
    return any(_is_at(conn, roots, name, raw, found) for name in names)


def _is_at(
    conn: Connection, roots: RootsHere, name: bytes, path: bytes, found: os.stat_result | None
) -> bool:
    folders = {root.root_id: slashed(root.here) for root in roots.all}
    with translated(conn):
        statement = _VISIBLE_NAMED if is_restricted(conn) else _ALL_NAMED
        rows = all_rows(conn, _Named, statement, {"name": name, "below": b"/" + name, "length": len(name)})
    for row in rows:
        stored = folders.get(row.root_id, b"/") + row.relative_path
        if stored == path or (found is not None and _leads_to(stored, found)):
            return True
    return False


def _leads_to(path: bytes, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), found)  # noqa: PTH116 - bytes
    except (OSError, ValueError):
        return False


def _is_stored_image(conn: Connection, path: bytes, found: os.stat_result) -> bool:
    if not stat.S_ISREG(found.st_mode) or found.st_size > DEFAULT_LIMITS.max_size:
        return False
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - bytes
            digest = hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return False
    with translated(conn):
        return value(
            conn,
            bool,
            _IS_VISIBLE if is_restricted(conn) else _IS_STORED,
            (UUID(bytes=digest[:16]),),
        )
