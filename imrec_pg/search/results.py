"""What a search returns: neighbours, nearest first, and how certain they are."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from imrec_pg.catalogue.tuning import Tuning
from imrec_pg.errors import ImrecError
from imrec_pg.records import Certainty, Combine, Feature, Fusion, Metric
from imrec_pg.thumbnails import MOST_IN_HTML, Captioned, html_of


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One photo of an answer.

    Attributes:
        rank: from 1.
        distance: in the metric of the answer; 0 is the same, smaller is nearer.
        path: on this host, for display.
        raw_path: the path as the file system spells it.
        copies: how many files hold exactly these bytes.
        missing: whether none of them was there any more when ingest last looked.
    """

    rank: int
    distance: float
    path: str
    raw_path: bytes
    copies: int
    image_id: UUID
    file_id: UUID
    width: int
    height: int
    missing: bool


@dataclass(frozen=True, slots=True)
class FeatureRank:
    """What one feature says of a fused neighbour.

    Attributes:
        rank: from 1; None when the feature puts it behind all that it ranked.
        distance: smaller is nearer.
        evidence: how much the distance speaks for an altered copy, in decibans: 10 say that it is 10 times as
            likely as between unrelated photos. None without a curve, and in a fusion by reciprocal ranks.
    """

    rank: int | None
    distance: float
    evidence: float | None = None


@dataclass(frozen=True, slots=True)
class FusedNeighbour:
    """One photo of a fused answer.

    Attributes:
        fused: what the fusion ranks by; larger is nearer. By evidence it is in decibans.
        features: what each feature says; see Neighbour for the other attributes.
    """

    rank: int
    fused: float
    path: str
    raw_path: bytes
    copies: int
    image_id: UUID
    file_id: UUID
    width: int
    height: int
    missing: bool
    features: Mapping[Feature, FeatureRank]


AnyNeighbour = TypeVar("AnyNeighbour", Neighbour, FusedNeighbour)


@dataclass(frozen=True, slots=True)
class QueryImage:
    """An image that was searched for.

    Attributes:
        path: raw bytes, absolute; None where the query was no file.
        name: for display.
        stored: whether its features came from the database.
        disliked: whether the answer is to be far from it.
    """

    path: bytes | None
    name: str
    image_id: UUID
    stored: bool
    disliked: bool = False


def _captioned(neighbour: Neighbour | FusedNeighbour) -> Captioned:
    said = (
        f"distance {neighbour.distance:.4g}"
        if isinstance(neighbour, Neighbour)
        else f"fused {neighbour.fused:.4g}"
    )
    return Captioned(neighbour.raw_path, f"{neighbour.rank}: {said}", neighbour.path)


class _Rows(Generic[AnyNeighbour]):
    """The neighbours of an answer: iterated over, counted, by number, as dicts, and as a table."""

    __slots__ = ()
    neighbours: tuple[AnyNeighbour, ...]

    def __iter__(self) -> Iterator[AnyNeighbour]:
        return iter(self.neighbours)

    def __len__(self) -> int:
        return len(self.neighbours)

    def __getitem__(self, number: int) -> AnyNeighbour:
        return self.neighbours[number]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a neighbour, of plain values; ids are text."""
        return [_plain(neighbour) for neighbour in self.neighbours]

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the photos, at most 20 of them as pictures."""
        photos = [_captioned(neighbour) for neighbour in self.neighbours[:MOST_IN_HTML]]
        more = "" if len(self.neighbours) <= MOST_IN_HTML else f", the first {MOST_IN_HTML}"
        return html_of(f"{len(self.neighbours):,} photos, nearest first{more}", photos)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the rows to polars, pandas, DuckDB or pyarrow: polars.DataFrame(answer).

        Raises:
            ImrecError: pyarrow is not installed.
        """
        try:
            import pyarrow as pa
        except ImportError as error:
            raise ImrecError(
                "a table needs pyarrow: pip install 'imrec-pg[parquet]'; to_dicts() does not"
            ) from error
        return pa.Table.from_pylist(self.to_dicts()).__arrow_c_stream__(requested_schema)


@dataclass(frozen=True, slots=True)
class Answer(_Rows[Neighbour]):
    """The photos nearest to the queries, nearest first; iterate over it.

    Attributes:
        certainty: whether these are certainly the nearest ones.
        index: the approximate index that answered, when not exact.
        tuning: what tune() measured of that index.
        timings: seconds for each step, in order.
        plan: PostgreSQL's, line by line, when asked for.
    """

    queries: tuple[QueryImage, ...]
    feature: Feature
    metric: Metric
    combine: Combine
    neighbours: tuple[Neighbour, ...]
    certainty: Certainty
    index: str | None
    tuning: Tuning | None
    timings: tuple[tuple[str, float], ...]
    plan: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether these are certainly the nearest ones."""
        return self.certainty is Certainty.EXACT


@dataclass(frozen=True, slots=True)
class FusedAnswer(_Rows[FusedNeighbour]):
    """The photos nearest to the queries by several features at once, nearest first; iterate over it.

    Attributes:
        weights: of the features that counted.
        fusion: how their rankings became one.
        certainty: whether the rankings of all features were exact.
        timings: seconds for each step, in order.
    """

    queries: tuple[QueryImage, ...]
    weights: Mapping[Feature, float]
    fusion: Fusion
    combine: Combine
    neighbours: tuple[FusedNeighbour, ...]
    certainty: Certainty
    timings: tuple[tuple[str, float], ...]

    @property
    def exact(self) -> bool:
        """Whether these are certainly the nearest ones."""
        return self.certainty is Certainty.EXACT


def _plain(neighbour: Neighbour | FusedNeighbour) -> dict[str, Any]:
    row = {field.name: getattr(neighbour, field.name) for field in dataclasses.fields(neighbour)}
    del row["raw_path"]
    row |= {"image_id": str(neighbour.image_id), "file_id": str(neighbour.file_id)}
    if isinstance(neighbour, FusedNeighbour):
        row["features"] = {
            str(feature): {"rank": said.rank, "distance": said.distance, "evidence": said.evidence}
            for feature, said in neighbour.features.items()
        }
    return row
