"""Which files of duplicates could go, and which one stays for each: a plan, which changes nothing."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from uuid import UUID

from psycopg.sql import SQL, Identifier

from imrec_pg.analysis.duplicates import DuplicateKind
from imrec_pg.catalogue.roots import RootsHere
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.privileges import is_restricted
from imrec_pg.db.rows import all_rows
from imrec_pg.errors import UsageError
from imrec_pg.paths import display_path, slashed

_FILES = SQL("""
WITH photo AS (
    SELECT d.group_id, d.kind, d.image_id, bool_or(d.keeper) AS keeper,
        bool_or(d.pair_kind = 'raw') IS TRUE AS is_raw_pair,
        (array_agg(d.file_id ORDER BY d.keeper DESC))[1] AS shown_id
    FROM imrec.duplicates(%s) AS d GROUP BY d.group_id, d.kind, d.image_id
)
SELECT p.group_id, p.kind, p.image_id, p.keeper, p.is_raw_pair, f.file_id = p.shown_id AS is_shown, f.root_id,
    f.relative_path, f.size, f.width::bigint * f.height AS pixels, f.taken_at, f.modified_at,
    CASE WHEN imrec_internal.is_raw(f.format) THEN 0 WHEN f.format = 'HEIF' THEN 1 ELSE 2 END AS format_rank
FROM photo AS p
INNER JOIN {} AS f ON f.image_id = p.image_id
ORDER BY p.group_id, f.path, f.file_id
""")
_ALL_FILES = SQL("""(
    SELECT f.image_id, f.file_id, f.root_id, f.relative_path, f.path, i.size, i.width, i.height, i.format, i.taken_at,
        to_timestamp(f.mtime_ns / 1e9) AS modified_at
    FROM imrec.file AS f INNER JOIN imrec.image AS i ON i.image_id = f.image_id
)""")
_VISIBLE_FILES = Identifier("imrec", "visible_photo")
_PAIRS = """
SELECT p.image_id, p.other_id FROM imrec.duplicate_pair AS p
LEFT JOIN imrec.duplicate_verdict AS v ON v.image_id = p.image_id AND v.other_id = p.other_id
WHERE coalesce(v.verdict, 'same') = 'same' AND p.kind <> 'raw'
UNION
SELECT v.image_id, v.other_id FROM imrec.duplicate_verdict AS v WHERE v.verdict = 'same'
"""
_VISIBLE_PAIRS = """
SELECT p.image_id, p.other_id FROM imrec_internal.visible_pairs(current_user) AS p
WHERE coalesce(p.verdict, 'same') = 'same' AND coalesce(p.kind, 'copy') <> 'raw'
"""


class KeepRule(StrEnum):
    """Which of several files stays: most pixels; raw, then HEIC; one with a date by EXIF; most bytes; the oldest."""

    RESOLUTION = "resolution"
    FORMAT = "format"
    DATE = "date"
    BYTES = "bytes"
    OLDEST = "oldest"


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file on this host, as the file system spells its path, and what it holds."""

    path: bytes
    image_id: UUID
    size: int


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """A file that stays, and others that could go: each holds the same bytes, or is near to it."""

    kind: DuplicateKind
    keep: PlannedFile
    remove: tuple[PlannedFile, ...]


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """What could go.

    Attributes:
        groups: no file that stays in one goes in another.
        absent: files of duplicates that are not on this host, or have changed since they were stored.
        distant: files that stay since they are near to others of their group, but not to the one that stays; or
            since one of the two is a camera raw and the other its picture.
    """

    groups: tuple[PlannedGroup, ...]
    absent: int
    distant: int

    @property
    def savings(self) -> int:
        """How many bytes the files take that could go."""
        return sum(file.size for group in self.groups for file in group.remove)


@dataclass(frozen=True, slots=True)
class _Row:
    group_id: UUID
    kind: str
    image_id: UUID
    keeper: bool
    is_raw_pair: bool
    is_shown: bool
    root_id: UUID
    relative_path: bytes
    size: int
    pixels: int
    taken_at: datetime | None
    modified_at: datetime
    format_rank: int


@dataclass(frozen=True, slots=True)
class _Pair:
    image_id: UUID
    other_id: UUID


@dataclass(frozen=True, slots=True)
class _Found:
    """A file that is there, unchanged as far as its size tells; inode says which file it is by any name."""

    row: _Row
    path: bytes
    inode: tuple[int, int]

    @property
    def planned(self) -> PlannedFile:
        return PlannedFile(self.path, self.row.image_id, self.row.size)


@dataclass(slots=True)
class _Planner:
    """Goes through the groups, and knows what stays and what goes so far."""

    rules: Sequence[KeepRule]
    preferred: Sequence[bytes]
    pairs: frozenset[tuple[UUID, UUID]]
    stay: set[tuple[int, int]] = field(default_factory=set)
    go: set[tuple[int, int]] = field(default_factory=set)
    distant: int = 0

    def group(self, kind: DuplicateKind, found: Iterable[_Found]) -> PlannedGroup | None:
        files = sorted((file for file in found if file.inode not in self.go), key=self._key)
        if not files:
            return None
        keep, others = files[0], []
        names = {keep.inode}
        for file in files[1:]:
            # A second name of a file takes no space of its own; and what stays somewhere stays.
            if file.inode in names or file.inode in self.stay:
                continue
            if self._is_near(keep.row, file.row):
                others.append(file)
                names.add(file.inode)
            else:
                self.distant += 1
        if not others:
            return None
        self.stay.add(keep.inode)
        self.go.update(file.inode for file in others)
        return PlannedGroup(kind, keep.planned, tuple(file.planned for file in others))

    def _is_near(self, keep: _Row, row: _Row) -> bool:
        if keep.image_id == row.image_id:
            return True
        if keep.keeper:  # the group is a star around it
            return not row.is_raw_pair
        return (min(keep.image_id, row.image_id), max(keep.image_id, row.image_id)) in self.pairs

    def _key(self, file: _Found) -> tuple[object, ...]:
        row = file.row
        by_rule: dict[KeepRule, float] = {
            KeepRule.RESOLUTION: -row.pixels,
            KeepRule.FORMAT: row.format_rank,
            KeepRule.DATE: row.taken_at is None,
            KeepRule.BYTES: -row.size,
            KeepRule.OLDEST: row.modified_at.timestamp(),
        }
        folders = (n for n, folder in enumerate(self.preferred) if file.path.startswith(folder))
        wanted = next(folders, len(self.preferred))
        return (wanted, *(by_rule[rule] for rule in self.rules), not row.keeper, not row.is_shown, file.path)


def plan(
    conn: Connection,
    kinds: Sequence[DuplicateKind],
    rules: Sequence[KeepRule],
    preferred: Sequence[bytes],
    here: RootsHere,
) -> RemovalPlan:
    """Return what could go, and what stays for it, by the files that are on this host now.

    Args:
        conn: a connection to the library.
        kinds: of which duplicates.
        rules: which of the files of a group stays; where they leave it open, the group's keeper.
        preferred: absolute paths of folders, whose files stay before all others.
        here: the roots on this host.
    """
    with translated(conn):
        rows, pairs = _read(conn, kinds)
    planner = _Planner(rules, [slashed(folder) for folder in preferred], pairs)
    folders = {root.root_id: slashed(root.here) for root in here.all}
    absent: set[tuple[UUID, bytes]] = set()
    groups = []
    for (kind, _), members in groupby(rows, key=lambda row: (row.kind, row.group_id)):
        files = list(members)
        found = list(_present(files, folders))
        there = {file.row for file in found}
        absent.update((row.root_id, row.relative_path) for row in files if row not in there)
        if (group := planner.group(DuplicateKind(kind), found)) is not None:
            groups.append(group)
    return RemovalPlan(tuple(groups), len(absent), planner.distant)


def check_trash(trash: bytes, here: RootsHere) -> None:
    """Accept a folder for what goes.

    Raises:
        UsageError: the next ingest would find there what was moved into it.
    """
    root = here.around(trash)
    if root is None:
        return
    below = trash.removeprefix(slashed(root.here)).split(b"/")
    if not any(part.startswith(b".") for part in below):
        raise UsageError(
            f"{display_path(trash)} lies in the root {root.name}, where ingest would find the photos again: "
            "name a folder elsewhere, or a hidden one such as .trash"
        )


def _read(
    conn: Connection, kinds: Sequence[DuplicateKind]
) -> tuple[list[_Row], frozenset[tuple[UUID, UUID]]]:
    restricted = is_restricted(conn)
    statement = _FILES.format(_VISIBLE_FILES if restricted else _ALL_FILES)
    # Near copies first: a group of them takes in the exact copies of its photos.
    order = (DuplicateKind.COPY, DuplicateKind.EXACT, DuplicateKind.BURST)
    rows = [row for kind in order if kind in kinds for row in all_rows(conn, _Row, statement, (str(kind),))]
    pairs = all_rows(conn, _Pair, _VISIBLE_PAIRS if restricted else _PAIRS)
    return rows, frozenset((pair.image_id, pair.other_id) for pair in pairs)


def _present(rows: Iterable[_Row], folders: dict[UUID, bytes]) -> Iterator[_Found]:
    for row in rows:
        if row.root_id not in folders:
            continue
        path = folders[row.root_id] + row.relative_path
        try:
            status = os.lstat(path)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_size == row.size:
            yield _Found(row, path, (status.st_dev, status.st_ino))
