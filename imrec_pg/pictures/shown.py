"""A map as it is drawn: where each photo lies, and in which groups it is: of clusters, folders or years."""

import posixpath
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import tuple_row

from imrec_pg.analysis.records import Clustering, MapPoints
from imrec_pg.catalogue.roots import RootsHere
from imrec_pg.db.connection import Connection, translated
from imrec_pg.paths import display_path, slashed

MOST_GROUPS = 60
"""Groups that get a colour; the others share grey. Many colours are alike, but those of neighbours seldom are."""

_FILES = """
SELECT p.image_id, f.root_id, f.relative_path, extract(year FROM i.taken_at)::integer
FROM imrec.map_point AS p
INNER JOIN imrec.image AS i ON i.image_id = p.image_id
LEFT JOIN imrec_internal.image_file AS s ON s.image_id = p.image_id
LEFT JOIN imrec.file AS f ON f.image_id = s.image_id AND f.file_id = s.file_id
WHERE p.map_id = %s ORDER BY p.image_id
"""


class Colour(StrEnum):
    """By what the points of a map are coloured."""

    CLUSTER = "cluster"
    MAP_CLUSTER = "map-cluster"
    FOLDER = "folder"
    YEAR = "year"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Groups:
    """The photos of a map in groups, the largest first, or all in their order.

    Attributes:
        names: of the groups, at most MOST_GROUPS of them.
        sizes: how many photos each has.
        of_each: int32 (images,): the number of a photo's group from 0; -1 where it is in none of these.
        others: photos of groups beyond those, and what they are called.
        none: photos of no group, and what they are called.
        in_order: whether the groups follow each other, as years do, rather than being the largest first.
    """

    names: Sequence[str]
    sizes: Sequence[int]
    of_each: NDArray[np.int32]
    others: tuple[str, int]
    none: tuple[str, int]
    in_order: bool = False

    @property
    def grey(self) -> list[tuple[str, int]]:
        """What has no colour of its own."""
        return [(name, size) for name, size in (self.others, self.none) if size]


@dataclass(frozen=True, slots=True)
class ShownMap:
    """A map with what is shown of its photos; all sequences have the order of the points.

    Attributes:
        paths: of the files on this host, as the file system spells them; None of an image that no file holds.
        years: int32 (images,): in which they were taken, 0 where that is not known.
        medoids: the image at the middle of each cluster by the feature, and on the map.
    """

    points: MapPoints
    paths: Sequence[bytes | None]
    years: NDArray[np.int32]
    medoids: dict[Colour, dict[int, UUID]]

    def names(self) -> list[str]:
        """Return the paths for people."""
        return ["" if path is None else display_path(path) for path in self.paths]

    def groups(self, colour: Colour) -> Groups:
        """Return the photos in groups."""
        if colour is Colour.NONE:
            every = len(self.points)
            return Groups([], [], np.full(every, -1, np.int32), ("", 0), ("photos", every))
        if colour is Colour.FOLDER:
            return _largest(_folders(self.paths), str, "folders", "no folder")
        if colour is Colour.YEAR:
            return _in_order(_largest(list(self.years), str, "years", "no date"))
        numbers = self.points.clusters if colour is Colour.CLUSTER else self.points.map_clusters
        return _largest(list(numbers), lambda number: f"cluster {number}", "clusters", "no cluster")


def shown_map(
    conn: Connection, points: MapPoints, clusterings: Sequence[Clustering], here: RootsHere
) -> ShownMap:
    """Return a map with the paths and years of its photos; images that are gone meanwhile lie on it without."""
    folders = {root.root_id: slashed(root.here) for root in here.all}
    known: dict[bytes, tuple[bytes | None, int]] = {}
    with translated(conn), conn.transaction(), conn.cursor("shown_map", row_factory=tuple_row) as cur:
        cur.itersize = 10_000
        cur.execute(_FILES, (points.info.map_id,))
        for image_id, root_id, relative_path, year in cur:
            folder = folders.get(root_id)
            path = None if folder is None or relative_path is None else folder + bytes(relative_path)
            known[image_id.bytes] = (path, year or 0)
    rows = [known.get(key.tobytes(), (None, 0)) for key in points.image_ids]
    medoids: dict[Colour, dict[int, UUID]] = {}
    for one in clusterings:
        if one.feature == points.info.feature and one.map_id in {None, points.info.map_id}:
            colour = Colour.CLUSTER if one.map_id is None else Colour.MAP_CLUSTER
            medoids[colour] = {cluster.cluster: cluster.medoid for cluster in one.clusters}
    return ShownMap(
        points=points,
        paths=[path for path, _ in rows],
        years=np.array([year for _, year in rows], dtype=np.int32),
        medoids=medoids,
    )


def _folders(paths: Sequence[bytes | None]) -> list[str]:
    """Return the folder of each photo: below the one that holds all, so many levels that there are several."""
    folders = ["" if path is None else posixpath.dirname(display_path(path)) for path in paths]
    known = {folder for folder in folders if folder}
    if len(known) <= 1:
        return folders
    common = posixpath.commonpath(known) if all(folder.startswith("/") for folder in known) else ""
    top = len(common.rstrip("/").split("/"))
    deepest = max(folder.count("/") for folder in known) + 1
    # The top level may hold one folder with everything in it.
    level = next(
        (n for n in range(top + 1, deepest + 1) if len({_cut(folder, n) for folder in known}) > 1), deepest
    )
    return [_cut(folder, level) for folder in folders]


def _cut(folder: str, level: int) -> str:
    return "/".join(folder.split("/")[:level])


def _largest(keys: Sequence[object], name: Callable[[object], str], kind: str, none: str) -> Groups:
    counts = Counter(key for key in keys if key)
    chosen = counts.most_common(MOST_GROUPS)
    number = {key: place for place, (key, _) in enumerate(chosen)}
    more, within = len(counts) - len(chosen), sum(counts.values())
    return Groups(
        names=[name(key) for key, _ in chosen],
        sizes=[size for _, size in chosen],
        of_each=np.array([number.get(key, -1) for key in keys], dtype=np.int32),
        others=(f"{more:,} other {kind}", within - sum(size for _, size in chosen)),
        none=(none, len(keys) - within),
    )


def _in_order(groups: Groups) -> Groups:
    order = sorted(range(len(groups.names)), key=lambda number: groups.names[number])
    place = np.full(len(order) + 1, -1, np.int32)  # the last of -1
    place[order] = np.arange(len(order))
    return replace(
        groups,
        names=[groups.names[number] for number in order],
        sizes=[groups.sizes[number] for number in order],
        of_each=place[groups.of_each],
        in_order=True,
    )
