"""What to search for, and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from imrec_pg.catalogue.tuning import Tuning
from imrec_pg.records import NO_FILTER, Certainty, Combine, Feature, Filter, Metric
from imrec_pg.search.answers import FusedNeighbour, Neighbour


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What to search for.

    Attributes:
        metric: None for the feature's default: cosine, or hamming for the hashes.
        k: how many photos to return.
        combine: how several query images become one ranking.
        exact: compare with every stored image, whatever indexes there are.
        include_self: let the query images themselves appear in the answer.
        filter: which images may be in the answer.
        explain: return PostgreSQL's plan too, for which the search is carried out once more.
    """

    feature: Feature = Feature.EMBEDDING
    metric: Metric | None = None
    k: int = 5
    combine: Combine = Combine.MEAN
    exact: bool = False
    include_self: bool = False
    filter: Filter = NO_FILTER
    explain: bool = False


@dataclass(frozen=True, slots=True)
class FuseOptions:
    """What to search for by several features at once.

    Attributes:
        weights: how much each feature counts, 0 or more; None for the defaults (docs/quality.md).
        k: as the other attributes, see SearchOptions.
    """

    weights: Mapping[Feature, float] | None = None
    k: int = 5
    combine: Combine = Combine.MEAN
    exact: bool = False
    include_self: bool = False
    filter: Filter = NO_FILTER


@dataclass(frozen=True, slots=True)
class QueryImage:
    """An image that was searched for.

    Attributes:
        path: raw bytes, absolute.
        stored: whether its features came from the database.
        disliked: whether the answer is to be far from it.
    """

    path: bytes
    image_id: UUID
    stored: bool
    disliked: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The stored images nearest to the queries, nearest first.

    Attributes:
        certainty: whether these are certainly the nearest ones.
        index: the approximate index that answered, when not exact.
        tuning: what `imrec-pg tune` measured of that index.
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
class FusedAnswer:
    """The stored images nearest to the queries by several features at once, nearest first.

    Attributes:
        weights: of the features that counted.
        certainty: whether the rankings of all features were exact.
        timings: seconds for each step, in order.
    """

    queries: tuple[QueryImage, ...]
    weights: Mapping[Feature, float]
    combine: Combine
    neighbours: tuple[FusedNeighbour, ...]
    certainty: Certainty
    timings: tuple[tuple[str, float], ...]
