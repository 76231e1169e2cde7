"""Duplicates: copies of the same bytes, near copies and bursts, in groups; and what people said of them."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from psycopg import errors as pg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from imrec_pg.analysis.checks import nothing
from imrec_pg.catalogue.roots import RootsHere
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.privileges import is_restricted
from imrec_pg.db.rows import all_rows, one_row, value_or_none, values
from imrec_pg.errors import InvalidQueryError
from imrec_pg.paths import absolute_path, display_path, slashed
from imrec_pg.records import OnProgress

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HASHES = ("difference_hash", "perceptual_hash")
_LIMIT = """
SELECT greatest(l.difference_bits, l.near_bits) AS difference, l.near_bits AS perceptual
FROM imrec_internal.limit_of(%s) AS l
"""
_TUNED = "SELECT strictness FROM imrec.duplicate_tuning"
_STAGE = "SELECT imrec_internal.stage_duplicates()"
_MASKS = "SELECT imrec_internal.hash_masks(%s)"
_NEAR_CODES = "SELECT imrec_internal.near_codes(%s, %s, %s)"
_NEAR_CANDIDATES = "SELECT imrec_internal.near_candidates(%s, %s)"
_STAGED = "SELECT s.image_id FROM pg_temp.duplicate_stage AS s"
_BY_EMBEDDING = "SELECT imrec_internal.embedding_candidates(%s::uuid[])"
_JUDGE = "SELECT imrec_internal.judge_duplicates(%s)"
_REPLACE = "SELECT pairs, groups FROM imrec_internal.replace_duplicates(%s, %s)"
_REGROUP = "SELECT imrec_internal.regroup_duplicates()"
_UNSEARCHED = "SELECT image_id FROM imrec_internal.unsearched LIMIT %s"
_ADD = "SELECT imrec_internal.add_duplicates(%s::uuid[])"
_GROUPS = """
SELECT d.*, f.root_id, f.relative_path FROM imrec.duplicates(%s) AS d
INNER JOIN {} AS f ON f.image_id = d.image_id AND f.file_id = d.file_id
"""
_FILE, _VISIBLE_FILE = Identifier("imrec", "file"), Identifier("imrec", "visible_photo")
_SET_VERDICT = "SELECT imrec.set_verdict(%s, %s, %s)"
_VERDICTS = 'SELECT image_id, other_id, verdict, "by", at::text FROM imrec.duplicate_verdict ORDER BY at DESC'


_BATCH = 256
"""Images looked up in one transaction, which keeps other ingests' look-ups waiting for half a second."""


class Strictness(StrEnum):
    """How alike two images must be; imrec_internal.duplicate_limit has the limits."""

    STRICT = "strict"
    NORMAL = "normal"
    LOOSE = "loose"


class DuplicateKind(StrEnum):
    """Files with the same bytes, images that are near copies, or shots seconds apart."""

    EXACT = "exact"
    COPY = "copy"
    BURST = "burst"


class Verdict(StrEnum):
    """What two images are to each other, as a person says; alternate is an edit worth keeping."""

    SAME = "same"
    ALTERNATE = "alternate"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class _Bits:
    """Within how many bits of each hash images have to be compared."""

    difference: int
    perceptual: int


@dataclass(frozen=True, slots=True)
class FoundDuplicates:
    """What a search of the whole library found."""

    pairs: int
    groups: int


@dataclass(frozen=True, slots=True)
class DuplicatePhoto:
    """One photo of a group.

    Attributes:
        path: on this host, for display.
        raw_path: as the file system spells it.
        copies: how many files hold exactly these bytes.
        pair_kind: how it is alike the keeper: copy, burst, or raw (a camera raw beside its picture).
        difference_bits: in how many bits its hash differs from the keeper's; perceptual_bits likewise.
        embedding: cosine distance to the keeper; histogram likewise. None of the keeper itself, and where people
            said that the two are the same.
    """

    keeper: bool
    path: str
    raw_path: bytes
    image_id: UUID
    file_id: UUID
    copies: int
    size: int
    width: int
    height: int
    format: str
    pair_kind: str | None
    difference_bits: int | None
    perceptual_bits: int | None
    embedding: float | None
    histogram: float | None


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Photos that are alike; the first is the one to keep, and each other one is near to it."""

    group_id: UUID
    kind: DuplicateKind
    photos: tuple[DuplicatePhoto, ...]

    @property
    def savings(self) -> int:
        """How many bytes all files but the keeper's take, or for a keeper in several files all but one."""
        return sum(photo.size * photo.copies for photo in self.photos) - self.photos[0].size

    @property
    def farthest(self) -> float:
        """How far the least alike photo is from the keeper: bits of both hashes, and the embedding's distance."""
        return max(
            (p.difference_bits or 0) + (p.perceptual_bits or 0) + (p.embedding or 0) for p in self.photos
        )


def find(
    conn: Connection, strictness: Strictness | None, *, crops: bool, on_progress: OnProgress = nothing
) -> FoundDuplicates:
    """Look for near duplicates in the whole library; what people said stays.

    Nothing changes for others until all is found, in one transaction. Then come the images that were stored meanwhile.

    Args:
        conn: as db.session opens it.
        strictness: None for the one that tune chose, or else normal.
        crops: also compare each image with the ten nearest by embedding.
        on_progress: what to tell; see OnProgress.

    Raises:
        DatabaseUnreachableError: the connection was lost; nothing was changed.
    """
    with translated(conn), conn.transaction():
        strictness = strictness or Strictness(value_or_none(conn, str, _TUNED) or Strictness.NORMAL)
        limit = one_row(conn, _Bits, _LIMIT, (str(strictness),))
        on_progress("reading", 0, None)
        conn.execute(_STAGE)
        for feature, bits in zip(_HASHES, (limit.difference, limit.perceptual), strict=True):
            masks = values(conn, int, _MASKS, (bits,))
            for done, mask in enumerate(masks):
                on_progress(f"comparing by {feature}", done, len(masks))
                conn.execute(_NEAR_CODES, (feature, bits, mask))
            conn.execute(_NEAR_CANDIDATES, (feature, str(strictness)))
        if crops:
            ids = values(conn, UUID, _STAGED)
            for start in range(0, len(ids), _BATCH):
                on_progress("comparing by embedding", start, len(ids))
                conn.execute(_BY_EMBEDDING, (ids[start : start + _BATCH],))
        on_progress("judging", 0, None)
        conn.execute(_JUDGE, (str(strictness),))
        on_progress("storing", 0, None)
        found = one_row(conn, FoundDuplicates, _REPLACE, (str(strictness), crops))
    add_lacking(conn)
    return found


def add(conn: Connection, image_ids: Sequence[UUID]) -> int:
    """Look for near duplicates of new images, if the library was searched before; return how many are new."""
    with translated(conn), conn.transaction():
        return values(conn, int, _ADD, (list(image_ids),))[0]


def add_lacking(conn: Connection) -> None:
    """Look for near duplicates of all images for which this was not done since the library was searched.

    Those of an ingest that was killed before it did it, of an import, and of ingests during a search. And make the
    groups anew whose files went or came back.

    Raises:
        DatabaseUnreachableError: the connection was lost; doing it again is all right.
    """
    while True:
        with translated(conn):
            ids = values(conn, UUID, _UNSEARCHED, (_BATCH,))
        if not ids:
            break
        add(conn, ids)
    with translated(conn), conn.transaction():
        conn.execute(_REGROUP)


def groups(conn: Connection, kind: DuplicateKind | None, here: RootsHere) -> list[DuplicateGroup]:
    """Return all groups of a kind, or of all kinds, those first that take most space."""
    folders = {root.root_id: slashed(root.here) for root in here.all}
    found: dict[tuple[UUID, str], list[DuplicatePhoto]] = {}
    with translated(conn), conn.cursor(row_factory=dict_row) as cur:
        query = SQL(_GROUPS).format(_VISIBLE_FILE if is_restricted(conn) else _FILE)
        for row in cur.execute(query, (kind and str(kind),)):
            raw_path = folders.get(row.pop("root_id"), b"/") + bytes(row.pop("relative_path"))
            photo = row | {"path": display_path(raw_path), "raw_path": raw_path}
            key = (photo.pop("group_id"), photo.pop("kind"))
            found.setdefault(key, []).append(DuplicatePhoto(**photo))
    made = [
        # The join need not keep the order.
        DuplicateGroup(
            group_id, DuplicateKind(name), tuple(sorted(photos, key=lambda p: (not p.keeper, p.path)))
        )
        for (group_id, name), photos in found.items()
    ]
    return sorted(made, key=lambda group: (-group.savings, group.group_id))


def name_of(here: RootsHere, photo: "str | bytes | os.PathLike[str] | UUID") -> str:
    """Return how SQL knows a photo: an id as it is, a path of this host as the canonical one."""
    if isinstance(photo, UUID) or _ID.fullmatch(os.fsdecode(photo)):
        return str(photo)
    return here.canonical(absolute_path(photo)).rstrip("/")


def set_verdict(conn: Connection, a: str, b: str, verdict: Verdict | None) -> Verdict | None:
    """Say what two images are to each other, None to forget it; return what was said before.

    a and b are paths as SQL knows them, or ids of images.

    Raises:
        InvalidQueryError: a path is not stored, or both are the same image.
    """
    with translated(conn):
        try:
            with conn.transaction():
                before = value_or_none(conn, object, _SET_VERDICT, (a, b, verdict and str(verdict)))
        except (pg.NoDataFound, pg.InvalidParameterValue) as error:
            raise InvalidQueryError(error.diag.message_primary or str(error)) from error
    return None if before is None else Verdict(str(before))


@dataclass(frozen=True, slots=True)
class GivenVerdict:
    """What somebody said of two images; at is ISO 8601."""

    image_id: UUID
    other_id: UUID
    verdict: str
    by: str
    at: str


def verdicts(conn: Connection) -> list[GivenVerdict]:
    """Return all verdicts, the last one first."""
    with translated(conn):
        return all_rows(conn, GivenVerdict, _VERDICTS)
