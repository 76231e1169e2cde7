"""What requests ask and responses tell, with the names of the SQL functions; openapi.json is made of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from imrec_pg.analysis.duplicates import DuplicateKind
from imrec_pg.analysis.records import Space
from imrec_pg.catalogue.files import Failure
from imrec_pg.catalogue.images import ListedImage
from imrec_pg.catalogue.status import Status
from imrec_pg.records import Combine, Feature, Fusion, Metric

MOST_PAGE = 1000
MOST_RANKED = 10_000
"""So far pages of an answer go: each is ranked anew, with those before it."""
_MOST_IMAGES = 100

Text: TypeAlias = Annotated[str, Field(max_length=4096)]
Cursor: TypeAlias = Annotated[
    str | None, Field(max_length=64, description="what the page before gave as next")
]
Page: TypeAlias = Annotated[int, Field(ge=1, le=MOST_PAGE)]
Number: TypeAlias = Annotated[int, Field(ge=0, le=2**53)]


def binary(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """Return what openapi.json says of a response that is no JSON."""
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
    return {200: {"description": "OK", "content": content}}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Conditions(_Model):
    """Which photos may be in an answer; the keys are those of imrec.filter in SQL. Absent ones don't count."""

    under: Text | None = None
    root: Text | None = None
    after: datetime | None = None
    before: datetime | None = None
    min_size: Number | None = None
    max_size: Number | None = None
    min_width: Number | None = None
    min_height: Number | None = None
    camera: Text | None = None
    format: Text | None = None
    cluster: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None
    in_box: Annotated[list[float] | None, Field(max_length=6)] = None
    by_feature: Feature | None = None
    on_map: Annotated[int | None, Field(ge=2, le=3)] = None

    def given(self) -> dict[str, Any]:
        """Return those that were given, as Library.search takes them."""
        return {name: value for name, value in self if value is not None}


class _Question(_Model):
    likes: Annotated[list[UUID], Field(min_length=1, max_length=_MOST_IMAGES)]
    dislikes: Annotated[list[UUID], Field(max_length=_MOST_IMAGES)] = []
    k: Page = 20
    combine: Combine = Combine.MEAN
    filter: Conditions = Conditions()
    method: Literal["auto", "exact"] = "auto"
    include_self: bool = False
    after: Cursor = None


class Recommend(_Question):
    """A question to imrec.recommend: images by their ids, stored ones or those that were sent to queries."""

    feature: Feature = Feature.EMBEDDING
    metric: Metric | None = None


class Fuse(_Question):
    """A question to imrec.fuse."""

    weights: dict[Feature, Annotated[float, Field(ge=0, le=1e6)]] | None = None
    fusion: Fusion = Fusion.EVIDENCE


class QueryImage(_Model):
    """An image that was sent, by whose id searches may ask from now on; it is not stored."""

    image_id: UUID
    stored: bool


class _Item(_Model):
    rank: int
    path: str
    copies: int
    image_id: UUID
    file_id: UUID
    width: int
    height: int
    missing: bool


class Neighbour(_Item):
    """A photo of an answer; smaller distances are nearer."""

    distance: float


class FeatureSays(_Model):
    """What one feature says of a photo; evidence is in decibans. An infinite distance is null."""

    rank: int | None
    distance: float | None
    evidence: float | None


class FusedNeighbour(_Item):
    """A photo of a fused answer; larger fused is nearer."""

    fused: float
    features: dict[Feature, FeatureSays]


class AnswerInfo(_Model):
    """How an answer came about; recall is what tune measured of the index that answered."""

    certainty: str
    feature: Feature
    metric: Metric
    combine: Combine
    index: str | None
    recall: float | None
    timings: dict[str, float]


class FusedInfo(_Model):
    """How a fused answer came about."""

    certainty: str
    weights: dict[Feature, float]
    fusion: Fusion
    combine: Combine
    timings: dict[str, float]


class Answer(_Model):
    """Photos, nearest first; next asks for those behind them."""

    items: list[Neighbour]
    next: str | None
    answer: AnswerInfo


class FusedAnswer(_Model):
    """Photos, nearest first; next asks for those behind them."""

    items: list[FusedNeighbour]
    next: str | None
    answer: FusedInfo


class Embedded(_Model):
    """The features of an image, as imrec-pg embed prints them; hashes are 64 digits 0 and 1."""

    image_id: UUID
    embedding: list[float] | None
    histogram: list[float] | None
    average_hash: str | None
    difference_hash: str | None
    perceptual_hash: str | None


class FeatureInfo(_Model):
    """A feature, its metrics, the usual one first, and what it counts in fusions when nothing is said."""

    feature: Feature
    metrics: list[Metric]
    evidence_weight: float
    fused_weight: float


class VerdictGiven(_Model):
    """What two images are to each other; null forgets what was said."""

    verdict: Literal["same", "alternate", "different"] | None


class VerdictBefore(_Model):
    """What was said before, by which this can be undone."""

    before: Literal["same", "alternate", "different"] | None


class PlanAsked(_Model):
    """Which duplicates may go, and which file of a group stays: see imrec-pg duplicates plan."""

    kinds: Annotated[list[Literal["exact", "copy", "burst"]], Field(min_length=1, max_length=3)] = [
        "copy",
        "exact",
    ]
    keep: Annotated[
        list[Literal["resolution", "format", "date", "bytes", "oldest"]], Field(max_length=5)
    ] = []
    prefer: Annotated[list[Text], Field(max_length=20)] = []


class ScriptAsked(PlanAsked):
    """The same, and where the script is to move files: an absolute path."""

    trash: Annotated[str, Field(min_length=2, max_length=4096, pattern="^/")]


class ImagePage(_Model):
    """Some stored images; after=next goes on."""

    items: list[ListedImage]
    next: str | None


class FailurePage(_Model):
    """Files that could not be read, and how many there are in all."""

    items: list[Failure]
    next: str | None
    failures: int


@dataclass(frozen=True, slots=True)
class StatusTold(Status):
    """What imrec-pg status --json prints."""

    imrec_pg_version: str = ""


class ClusterTold(_Model):
    """Images that are alike; medoid is the most typical one. See Cluster in the Python API."""

    cluster: int
    size: int
    medoid: UUID
    spread: float
    folder: str | None
    year: int | None
    camera: str | None


class ClusteringTold(_Model):
    """All images that have a feature, in clusters; curve has the k that were tried, each with its inertia."""

    clustering_id: UUID
    feature: Feature
    space: Space
    map_id: UUID | None
    k: int
    k_chosen: str
    seed: int
    images: int
    silhouette: float | None
    curve: list[tuple[int, float]]
    created_at: datetime
    later: int
    lacking: int
    clusters: list[ClusterTold]


class GreyTold(_Model):
    """Points of a map without a colour of their own."""

    name: str
    size: int


class GroupsTold(_Model):
    """What the points of a map are coloured by; medoids are by the number of the cluster."""

    names: list[str]
    sizes: list[int]
    grey: list[GreyTold]
    medoids: dict[str, UUID]
    in_order: bool


class DuplicatePhotoTold(_Model):
    """A photo of a group; bits and distances are those to the keeper, None of the keeper itself."""

    keeper: bool
    path: str
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


class DuplicateGroupTold(_Model):
    """Photos that are alike; the first is the one to keep."""

    group_id: UUID
    kind: DuplicateKind
    savings: int
    farthest: float
    photos: list[DuplicatePhotoTold]


class DuplicatePage(_Model):
    """Groups of duplicates; groups and savings count all of them."""

    items: list[DuplicateGroupTold]
    next: str | None
    groups: int
    savings: int


class PlannedFileTold(_Model):
    """A file on this host."""

    path: str
    image_id: UUID
    size: int


class PlannedGroupTold(_Model):
    """A file that stays, and others that could go."""

    kind: DuplicateKind
    keep: PlannedFileTold
    remove: list[PlannedFileTold]


class PlanTold(_Model):
    """What could go; absent files are not here or have changed, distant ones are not near to the one that stays."""

    files: int
    savings: int
    absent: int
    distant: int
    groups: list[PlannedGroupTold]
