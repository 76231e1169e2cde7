"""Which photos the projector is to show, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg.sql import SQL, Composed, Identifier, Literal

from imrec_pg.analysis.reading import columns, count
from imrec_pg.analysis.records import Clustering, MapInfo, Space
from imrec_pg.analysis.stored import clusterings, maps
from imrec_pg.db.connection import Connection
from imrec_pg.errors import ImrecError, NoClustersError, UsageError
from imrec_pg.records import Feature

MAX_PHOTOS = 100_000
"""The projector reads so many rows and no more."""

_MIN_PHOTOS = 2  # it leaves out a tensor of one row

Ids = NDArray[np.void]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Choice:
    """What is asked for.

    Attributes:
        feature: embedding or histogram.
        sample: how many photos at most, of each cluster with tiles.
        tiles: a folder for each cluster.
        seed: of the sample and the order.
    """

    feature: Feature
    sample: int = MAX_PHOTOS
    tiles: bool = False
    seed: int = 42

    def check(self) -> None:
        """Return when it can be done.

        Raises:
            UsageError: a number is out of range, or the feature is a hash.
        """
        if self.feature.is_hash:
            raise UsageError(f"the projector shows embeddings and histograms: {self.feature} is a hash")
        if not _MIN_PHOTOS <= self.sample <= MAX_PHOTOS:
            raise UsageError(
                f"the projector shows {_MIN_PHOTOS} to {MAX_PHOTOS:,} photos: sample as many as that"
            )
        if not 0 <= self.seed < 2**63:
            raise UsageError("a seed is a whole number, 0 or more")


@dataclass(frozen=True, slots=True)
class Tile:
    """Photos that the projector shows together.

    Attributes:
        cluster: of them all, 0 for photos in no cluster; None where they are not from one cluster alone.
        image_ids: dtype V16, shuffled.
        clusters: the cluster of each, 0 where it is in none.
        of: how many there are in all.
    """

    cluster: int | None
    image_ids: Ids
    clusters: Numbers
    of: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the library has to show.

    Attributes:
        map_info: the map whose points become a second tensor, if there is one.
        clustered: whether the photos are in clusters.
        sampled_by: "cluster" or "folder"; None where all photos are shown.
        lacking_place: how many photos are left out since they are not on the map.
    """

    map_info: MapInfo | None
    clustered: bool
    sampled_by: str | None
    lacking_place: int
    tiles: Sequence[Tile]


def choose(conn: Connection, choice: Choice) -> Chosen:
    """Return the photos to show.

    Raises:
        ImrecError: no photo has the feature.
        NoClustersError: a folder for each cluster is asked for, and there are none.
    """
    of_map = [one for one in maps(conn) if one.feature == choice.feature]
    map_info = max(of_map, key=lambda one: one.dims, default=None)
    clustering = _clustering(conn, choice.feature, map_info)
    if choice.tiles and clustering is None:
        raise NoClustersError(choice.feature, None)
    stored = count(conn, choice.feature)
    by_folder = clustering is None and stored > choice.sample
    rows = columns(
        conn,
        _query(choice.feature, map_info, clustering, by_folder=by_folder),
        (("image_id", "uuid"), ("stratum", "int4")),
    )
    if len(rows) < _MIN_PHOTOS:
        have = "no photo has" if stored == 0 else f"fewer than {_MIN_PHOTOS} photos to show have"
        raise ImrecError(f"{have} the feature {choice.feature}: store some first")
    tiles = list(_tiles(rows, choice, clustered=clustering is not None))
    sampled = any(len(tile.image_ids) < tile.of for tile in tiles)
    return Chosen(
        map_info=map_info,
        clustered=clustering is not None,
        sampled_by=("cluster" if clustering is not None else "folder") if sampled else None,
        lacking_place=stored - len(rows),
        tiles=tiles,
    )


def proportional(sizes: Numbers, total: int) -> Numbers:
    """Return how many to take of each stratum: in proportion, at least one of each where there is room."""
    if sizes.sum() <= total:
        return sizes
    exact = sizes * total / sizes.sum()
    taken: Numbers = np.floor(exact).astype(np.int64)
    if total >= len(sizes):
        taken = np.maximum(taken, 1)
    while (excess := int(taken.sum()) - total) > 0:
        taken[np.argsort(-taken, kind="stable")[:excess]] -= 1
    taken[np.argsort(taken - exact, kind="stable")[: total - int(taken.sum())]] += 1
    return taken


def _clustering(conn: Connection, feature: Feature, map_info: MapInfo | None) -> Clustering | None:
    """Return the clusters by the feature, else those on the map."""
    found = [one for one in clusterings(conn) if one.feature == feature]
    by_feature = next((one for one in found if one.space == Space.FEATURE), None)
    if by_feature is not None or map_info is None:
        return by_feature
    return next((one for one in found if one.map_id == map_info.map_id), None)


def _query(
    feature: Feature, map_info: MapInfo | None, clustering: Clustering | None, *, by_folder: bool
) -> Composed:
    parts: list[Composed | SQL] = [SQL("FROM {} AS e").format(Identifier("imrec", feature))]
    stratum = SQL("0")
    if map_info is not None:
        parts.append(
            SQL("INNER JOIN imrec.map_point AS p ON p.image_id = e.image_id AND p.map_id = {}").format(
                Literal(map_info.map_id)
            )
        )
    if clustering is not None:
        stratum = SQL("coalesce(c.cluster, 0)")
        parts.append(
            SQL(
                "LEFT JOIN imrec.cluster_member AS c ON c.image_id = e.image_id AND c.clustering_id = {}"
            ).format(Literal(clustering.clustering_id))
        )
    elif by_folder:
        # Two folders of one hash make one stratum, which does no harm.
        stratum = SQL("hashtext(regexp_replace(f.path, '[^/]*$', ''))")
        parts.append(SQL("INNER JOIN imrec_internal.image_file AS f ON f.image_id = e.image_id"))
    # An image whose last file has another content by now has nothing to show.
    return SQL(
        "SELECT e.image_id, {} AS stratum {} "
        "WHERE EXISTS (SELECT FROM imrec.file AS h WHERE h.image_id = e.image_id) ORDER BY e.image_id"
    ).format(stratum, SQL(" ").join(parts))


def _tiles(rows: NDArray[Any], choice: Choice, *, clustered: bool) -> list[Tile]:
    rng = np.random.default_rng(choice.seed)
    strata = rows["stratum"].astype(np.int64)
    if not choice.tiles:
        return [_sampled(rows["image_id"], strata, choice.sample, rng, clustered=clustered)]
    tiles = []
    for cluster in np.unique(strata):
        of_cluster = strata == cluster
        tile = _sampled(rows["image_id"][of_cluster], strata[of_cluster], choice.sample, rng, clustered=True)
        tiles.append(Tile(int(cluster), tile.image_ids, tile.clusters, tile.of))
    return tiles


def _sampled(ids: Ids, strata: Numbers, total: int, rng: np.random.Generator, *, clustered: bool) -> Tile:
    order = rng.permutation(len(ids))
    if len(ids) > total:
        _, which, sizes = np.unique(strata[order], return_inverse=True, return_counts=True)
        taken = proportional(sizes.astype(np.int64), total)
        # The place of each photo among those of its stratum, in the shuffled order.
        by_stratum = np.argsort(which, kind="stable")
        place = np.empty(len(ids), np.int64)
        place[by_stratum] = np.arange(len(ids)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        order = order[place < taken[which]]
    clusters = strata[order] if clustered else np.zeros(len(order), np.int64)
    return Tile(None, ids[order], clusters, len(ids))


def uuids(ids: Ids) -> list[UUID]:
    """Return ids as UUIDs."""
    return [UUID(bytes=key.tobytes()) for key in ids]
