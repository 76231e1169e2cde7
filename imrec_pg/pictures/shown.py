"""A map as it is drawn: where each photo lies, and in which groups it is: of clusters, folders or years."""

import posixpath
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import tuple_row

from imrec_pg.analysis.records import Clustering, MapPoints
from imrec_pg.catalogue.roots import RootsHere
from imrec_pg.db.connection import Connection, translated
from imrec_pg.paths import display_path, slashed

MOST_GROUPS = 12
"""Groups that get a colour of their own; the others share grey."""

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
    """The photos of a map in groups, the largest first.

    Attributes:
        names: of the groups, at most MOST_GROUPS of them.
        of_each: int32 (images,): the number of a photo's group from 0; -1 where it is in none of these.
        rest: what those in none are called; "" where there are none.
    """

    names: Sequence[str]
    of_each: NDArray[np.int32]
    rest: str


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
            return Groups([], np.full(len(self.points), -1, np.int32), "photos")
        if colour is Colour.FOLDER:
            return _largest(_folders(self.paths), str, "other folders", "no folder")
        if colour is Colour.YEAR:
            return _largest(list(self.years), str, "other years", "no date")
        numbers = self.points.clusters if colour is Colour.CLUSTER else self.points.map_clusters
        return _largest(list(numbers), lambda number: f"cluster {number}", "other clusters", "no cluster")


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


def _largest(keys: Sequence[object], name: Callable[[object], str], others: str, none: str) -> Groups:
    counts = Counter(key for key in keys if key)
    chosen = [key for key, _ in counts.most_common(MOST_GROUPS)]
    number = {key: place for place, key in enumerate(chosen)}
    of_each = np.array([number.get(key, -1) for key in keys], dtype=np.int32)
    rest = ""
    if (of_each < 0).any():
        rest = others if len(counts) > len(chosen) else none
    return Groups([name(key) for key in chosen], of_each, rest)
