"""What a ranking is asked, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from imrec_pg.records import NO_FILTER, Certainty, Combine, Feature, Features, Filter


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One stored image of an answer.

    Attributes:
        distance: in the metric asked for; 0 is the same, smaller is nearer.
        path: the first place it was seen at, by name, as it is called on the question's host.
        raw_path: that place as the file system spells it.
        copies: how many files hold exactly these bytes.
        missing: whether none of them was there any more when ingest last looked.
    """

    image_id: UUID
    distance: float
    path: str
    raw_path: bytes
    copies: int
    width: int
    height: int
    missing: bool


@dataclass(frozen=True, slots=True)
class Part:
    """What one feature says of a fused neighbour.

    Attributes:
        rank: from 1; None when the feature puts it behind all that were ranked.
        distance: smaller is nearer.
    """

    feature: Feature
    rank: int | None
    distance: float


@dataclass(frozen=True, slots=True)
class FusedNeighbour:
    """One stored image of a fused answer.

    Attributes:
        fused: the sum of weight / (5 + rank) over the features; larger is nearer.
    """

    image_id: UUID
    fused: float
    path: str
    raw_path: bytes
    copies: int
    width: int
    height: int
    missing: bool
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The nearest images, nearest first, and whether they are certainly those."""

    neighbours: Sequence[Neighbour]
    certainty: Certainty
    index: str | None

    @property
    def exact(self) -> bool:
        """Whether no image is missing for certain."""
        return self.certainty is Certainty.EXACT


@dataclass(frozen=True, slots=True)
class FusedRanking:
    """The images nearest by several features at once."""

    neighbours: Sequence[FusedNeighbour]
    certainty: Certainty


@dataclass(frozen=True, slots=True)
class Question:
    """What every ranking is asked.

    Attributes:
        likes: features of the images to be near to, at least one.
        dislikes: of those to be far from.
        exclude: what may not be in the answer.
        exact: compare with every image, whatever indexes there are.
        host: on which the answer's paths have to be right; None for the canonical ones.
    """

    likes: Sequence[Features]
    k: int
    dislikes: Sequence[Features] = ()
    combine: Combine = Combine.MEAN
    exclude: Sequence[UUID] = ()
    filter: Filter = NO_FILTER
    exact: bool = False
    host: str | None = None
