"""The landmarks of a map, in cells: their components, their neighbours, and what places other images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imrec_pg.analysis import reading
from imrec_pg.analysis.cells import Cells, Floats, Numbers, nearest
from imrec_pg.analysis.components import principal_components
from imrec_pg.analysis.kmeans import centres_of
from imrec_pg.analysis.placing import Landmarks, Projection
from imrec_pg.db.connection import Connection
from imrec_pg.errors import UsageError
from imrec_pg.records import Feature, OnProgress

# Of the variance of generated embeddings they keep 80 %; a landmark then takes 192 bytes.
_COMPONENTS = 96
# Cells compared with for the neighbours of a landmark: 0.996 of the true ones were found.
_PROBES = 8
# Up to so many landmarks each is compared with all.
_EXACT = 10_000
_CELL_STEPS = 5


@dataclass(frozen=True, slots=True)
class Frame:
    """Landmarks in their cells, each with its point; all that places other images.

    Attributes:
        keys: of the landmarks, sorted.
        vectors: at unit length, float32 (n, 512), in the order of keys.
        order: of the landmarks, cell by cell.
        starts: of each cell, in that order, and the end.
    """

    keys: reading.Keys
    vectors: Floats
    projection: Projection
    order: NDArray[np.intp]
    starts: NDArray[np.intp]

    def members(self, cell: int) -> NDArray[np.intp]:
        """Return the landmarks in a cell."""
        return self.order[self.starts[cell] : self.starts[cell + 1]]

    def landmarks(self, points: Floats) -> dict[int, Landmarks]:
        """Return the landmarks of each cell as they are stored."""
        found = dict[int, Landmarks]()
        for cell in range(len(self.starts) - 1):
            here = self.members(cell)
            found[cell] = self.projection.of(self.vectors[here]).astype("<f2"), points[here]
        return found


def stratified(clusters: Numbers, number: int, seed: int) -> NDArray[np.intp]:
    """Return which images are landmarks: so many at most, of each cluster its share, and one at least."""
    if len(clusters) <= number:
        return np.arange(len(clusters))
    rng = np.random.default_rng(seed)
    chosen = []
    for cluster in np.unique(clusters):
        here = np.flatnonzero(clusters == cluster)
        chosen.append(rng.permutation(here)[: max(1, len(here) * number // len(clusters))])
    return np.sort(np.concatenate(chosen))


def framed(
    conn: Connection, feature: Feature, keys: reading.Keys, seed: int, total: int, on_progress: OnProgress
) -> Frame:
    """Return the landmarks of these keys, but those that are gone by now.

    Raises:
        UsageError: all are.
    """
    vectors, found, done = np.empty((0, 0), np.float32), np.zeros(len(keys), np.bool_), 0
    wanted = keys.view("S16")
    with reading.in_order(conn):
        for chunk, rows in reading.chunks(conn, feature):
            on_progress("reading landmarks", done, total)
            if not vectors.size:
                vectors = np.zeros((len(keys), rows.shape[1]), np.float32)
            places = np.minimum(np.searchsorted(wanted, chunk.view("S16")), len(keys) - 1)
            here = keys[places] == chunk
            vectors[places[here]] = rows[here]
            found[places[here]] = True
            done += len(chunk)
    if not found.any():
        raise UsageError(f"no photo has this feature any more: {feature}")
    if not found.all():
        keys, vectors = keys[found], vectors[found]
    on_progress("principal components", 0, None)
    projection = _components(vectors)
    projected = projection.of(vectors)
    number = max(1, int(np.sqrt(len(keys))))
    drawn = np.random.default_rng(seed).permutation(len(keys))[: 50 * number]
    centres = centres_of(projected[drawn], number, seed, steps=_CELL_STEPS)
    labels, _ = nearest(projected, centres)
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(len(centres) + 1))
    return Frame(keys, vectors, Projection(projection.mean, projection.components, centres), order, starts)


def _components(vectors: Floats) -> Projection:
    """Return the projection on principal components, without cells."""
    mean, components = principal_components(vectors)
    # The sign of an axis is arbitrary: that of its largest value.
    components = components[: min(_COMPONENTS, len(vectors))]
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    return Projection(
        mean.astype(np.float32),
        (components * np.sign(largest)).astype(np.float32),
        np.empty((0, 0), np.float32),
    )


def neighbours(frame: Frame, k: int, on_progress: OnProgress) -> tuple[Numbers, Floats]:
    """Return the k nearest landmarks of each, itself first, and the distances, by all dimensions."""
    total = len(frame.keys)
    near, distances = np.empty((total, k), np.int32), np.empty((total, k), np.float32)
    # The cells are those of the components; their means stand for them here.
    means = np.stack(
        [frame.vectors[frame.members(cell)].mean(axis=0) for cell in range(len(frame.starts) - 1)]
    )
    cells = Cells(means, lambda cell: frame.vectors[frame.members(cell)])
    done, probes = 0, len(means) if total <= _EXACT else _PROBES
    for rows, found in cells.search(frame.vectors, k, probes):
        on_progress("neighbours", done, total)
        near[rows] = frame.order[frame.starts[found.cell] + found.position]
        distances[rows] = found.distance
        done += len(rows)
    # Among equal ones any may come first.
    itself = np.arange(total, dtype=np.int32)
    for row in np.flatnonzero(near[:, 0] != itself):
        place = np.flatnonzero(near[row] == row)
        where = int(place[0]) if len(place) else k - 1
        near[row, 1 : where + 1] = near[row, :where]
        distances[row, 1 : where + 1] = distances[row, :where]
    near[:, 0], distances[:, 0] = itself, 0
    return near, distances
