"""Photos on the picture of a map, each where it lies."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from imrec_pg.decoding import Decoders
from imrec_pg.pictures.shown import Colour, Groups, ShownMap
from imrec_pg.thumbnails import squares

MOST_PHOTOS = 250
"""Photos that are tried on a picture; most have no room."""

_SIDE, _SMALLER, _SMALLER_FROM = 92, 62, 12  # pixels; the photos of so many groups are large


@dataclass(frozen=True, slots=True)
class PhotosOnMap:
    """A picture of a map that photos are put on.

    Attributes:
        places: where each photo lies, from the lower left, float64 (images, 2), in pixels.
        colours: of the groups, and of what is in none.
        ground: of the paper.
    """

    picture: Image.Image
    places: NDArray[np.float64]
    colours: Sequence[str]
    ground: str
    _taken: list[tuple[float, float, int]] = field(default_factory=list)

    def draw(self, shown: ShownMap, groups: Groups, colour: Colour, photos: int) -> None:
        """Put so many photos on the picture at most, the most typical ones of each group first."""
        chosen = _typical(self.places, shown, groups, colour)[:photos]
        with Decoders() as decoders:
            paths = [shown.paths[at] or b"" for at, _ in chosen]
            for number, ((at, group), found) in enumerate(
                zip(chosen, squares(paths, decoders, _SIDE), strict=True)
            ):
                side = _SIDE if number < min(_SMALLER_FROM, len(groups.names)) else _SMALLER
                if found is not None:
                    self._put(found, self.places[at], side, self.colours[group])

    def _put(self, photo: Image.Image, place: NDArray[np.float64], side: int, colour: str) -> None:
        left, top = int(place[0] - side / 2), int(self.picture.height - place[1] - side / 2)
        inside = (
            0 <= left < self.picture.width * 0.82 - side
            and self.picture.height * 0.06 < top < self.picture.height - side
        )
        if not inside or any(_overlap((left, top, side), one) for one in self._taken):
            return
        self._taken.append((left, top, side))
        framed = ImageOps.expand(photo.resize((side - 8, side - 8), Image.Resampling.LANCZOS), 1, self.ground)
        self.picture.paste(ImageOps.expand(framed, 3, colour), (left, top))


def _overlap(one: tuple[float, float, int], other: tuple[float, float, int]) -> bool:
    apart = (one[2] + other[2]) / 2 + 8
    return (
        max(
            abs(one[0] + one[2] / 2 - other[0] - other[2] / 2),
            abs(one[1] + one[2] / 2 - other[1] - other[2] / 2),
        )
        < apart
    )


def _typical(
    places: NDArray[np.float64], shown: ShownMap, groups: Groups, colour: Colour
) -> list[tuple[int, int]]:
    """Return photos, each with the number of its group: first one of each group, then others by chance.

    The one of a group is its medoid, or else the one nearest to its middle.
    """
    medoids: dict[str, UUID] = {
        f"cluster {number}": image for number, image in shown.medoids.get(colour, {}).items()
    }
    found = []
    for group, name in enumerate(groups.names):
        of_group = np.flatnonzero(groups.of_each == group)
        at: int | None = None
        if (medoid := medoids.get(name)) is not None:
            same = np.flatnonzero(shown.points.image_ids[of_group] == np.void(medoid.bytes))
            at = int(of_group[same[0]]) if len(same) else None
        if at is None:
            middle = np.median(places[of_group], axis=0)
            at = int(of_group[np.argmin(((places[of_group] - middle) ** 2).sum(axis=1))])
        found.append((at, group))
    others = np.random.default_rng(0).permutation(len(places))[:MOST_PHOTOS]
    return found + [(int(at), int(groups.of_each[at])) for at in others]
