"""One page that shows a map in space: it needs no network, no server and no other file."""

import base64
import json
import secrets
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imrec_pg.decoding import Decoders
from imrec_pg.errors import UsageError
from imrec_pg.paths import terminal_text
from imrec_pg.pictures.palette import palette
from imrec_pg.pictures.shown import Colour, Groups, ShownMap
from imrec_pg.thumbnails import squares

_HERE = Path(__file__).parent
_LIBRARIES = ("three.core.js", "three.module.js", "OrbitControls.js")
_SIDE = 96  # of thumbnails; about 2.5 kB each
_MOST_BYTES = 20 << 20  # of all thumbnails
_LEVELS = 65_535  # coordinates as 16 bits: finer than any screen
_CELLS = 24  # a side of the map, among which thumbnails are spread


@dataclass(frozen=True, slots=True)
class WrittenPage:
    """What a page shows: photos as points, and some of them as pictures."""

    photos: int
    of: int
    pictures: int
    size: int


def page_of(
    shown: ShownMap, sample: int | None, pictures: int, seed: int, on_picture: Callable[[int, int], None]
) -> tuple[bytes, WrittenPage]:
    """Return the page as HTML, and what is on it.

    Args:
        shown: the map.
        sample: at most so many points, chosen by chance; None for all.
        pictures: at most so many thumbnails, spread over the map, and 20 MiB of them.
        seed: of the sample.
        on_picture: called with how many of how many thumbnails are done.

    Raises:
        UsageError: a number is out of range.
    """
    if (sample is not None and sample < 1) or pictures < 0:
        raise UsageError("a sample is 1 photo or more, and thumbnails are 0 or more")
    rng = np.random.default_rng(seed)
    # In an order of chance: what is drawn last does not hide one group behind another.
    chosen = rng.permutation(len(shown.points))[:sample]
    which, small = _thumbnails(shown, chosen, pictures, on_picture)
    names = shown.names()
    groups = {colour: shown.groups(colour) for colour in Colour}
    parts = {
        "points": _packed(_levels(shown.points.points[chosen]).tobytes()),
        "paths": _packed("\n".join(terminal_text(names[at]) for at in chosen).encode()),
        "thumbnails": base64.b64encode(b"".join(small)),
        **{f"by-{colour}": _packed(_numbers(one, chosen).tobytes()) for colour, one in groups.items()},
        **{name: _packed((_HERE / "vendor" / name).read_bytes()) for name in _LIBRARIES},
    }
    about = {
        "title": _title(shown, len(chosen)),
        "dims": shown.points.info.dims,
        "photos": len(chosen),
        "side": _SIDE,
        "groups": {
            str(colour): {"colours": palette(one), "names": _names(one)}
            for colour, one in groups.items()
            if one.names or colour is Colour.NONE
        },
        "pictures": [[int(at), len(picture)] for at, picture in zip(which, small, strict=True)],
    }
    html = _filled(about, parts)
    return html, WrittenPage(len(chosen), len(shown.points), len(small), len(html))


def _levels(points: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return points as uint16 (n, 3) in a cube whose sides keep their proportions; a flat map lies in the middle."""
    low, high = points.min(axis=0), points.max(axis=0)
    span = float((high - low).max()) or 1.0
    placed = np.full((len(points), 3), 0.5)
    placed[:, : points.shape[1]] = (points - (low + high) / 2) / span + 0.5
    return np.round(placed * _LEVELS).astype("<u2")


def _numbers(groups: Groups, chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the colour of each point, its place in the palette."""
    of_each = groups.of_each[chosen]
    return np.where(of_each < 0, len(groups.names), of_each).astype(np.uint8)


def _names(groups: Groups) -> list[list[Any]]:
    """Return what groups are called, their places in the palette, and how many photos they have on the whole map."""
    named = zip(map(terminal_text, groups.names), range(len(groups.names)), groups.sizes, strict=True)
    return [*map(list, named), *([name, len(groups.names), size] for name, size in groups.grey)]


def _title(shown: ShownMap, photos: int) -> str:
    of = "" if photos == len(shown.points) else f" of {len(shown.points):,}"
    return f"{photos:,}{of} photos by {shown.points.info.feature}, in {shown.points.info.dims} dimensions"


def _thumbnails(
    shown: ShownMap, chosen: NDArray[np.int64], wanted: int, on_picture: Callable[[int, int], None]
) -> tuple[list[int], list[bytes]]:
    """Return which of the chosen have a picture, and the pictures as WebP."""
    tried = _spread(shown.points.points[chosen], [shown.paths[at] is not None for at in chosen], wanted)
    which: list[int] = []
    small: list[bytes] = []
    total = 0
    with Decoders() as decoders:
        paths = (shown.paths[chosen[at]] or b"" for at in tried)
        for done, (at, found) in enumerate(zip(tried, squares(paths, decoders, _SIDE), strict=True), start=1):
            on_picture(done, len(tried))
            if found is None:
                continue
            picture = BytesIO()
            found.save(picture, "WEBP", quality=70)
            total += picture.tell()
            if total > _MOST_BYTES:
                break
            which.append(at)
            small.append(picture.getvalue())
    return which, small


def _spread(points: NDArray[np.float32], there: Sequence[bool], wanted: int) -> list[int]:
    """Return which points get a picture: one from each cell of a grid in turn, until there are enough."""
    candidates = np.flatnonzero(np.asarray(there, dtype=bool))
    if len(candidates) <= wanted:
        return [int(at) for at in candidates]
    low, high = points.min(axis=0), points.max(axis=0)
    cells = ((points[candidates] - low) / np.maximum(high - low, 1e-9) * (_CELLS - 1)).astype(int)
    keys = np.ravel_multi_index(tuple(cells.T), (_CELLS,) * points.shape[1])
    order = np.argsort(keys, kind="stable")
    _, sizes = np.unique(keys, return_counts=True)
    turn = np.empty(len(candidates), np.int64)
    turn[order] = np.arange(len(candidates)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return [int(at) for at in candidates[np.argsort(turn, kind="stable")[:wanted]]]


def _packed(content: bytes) -> bytes:
    return base64.b64encode(zlib.compress(content, 9 if len(content) < 1 << 22 else 6))


def _filled(about: dict[str, Any], parts: dict[str, bytes]) -> bytes:
    nonce = secrets.token_urlsafe(16).encode()
    # Within a script "</" would end it, and "<!--" would begin a comment.
    told = json.dumps(about, ensure_ascii=True).replace("<", "\\u003c").encode()
    page = (_HERE / "page.html").read_bytes().replace(b"{{NONCE}}", nonce)
    for name, content in (
        (b"{{PROGRAM}}", (_HERE / "page.js").read_bytes()),
        (b"{{BLOCKS}}", b"\n".join(_blocks(parts, told))),
    ):
        before, _, after = page.partition(name)
        page = before + content + after
    return page


def _blocks(parts: dict[str, bytes], about: bytes) -> Iterator[bytes]:
    yield b'<script type="application/json" id="about">' + about + b"</script>"
    for name, content in parts.items():
        yield b'<script type="text/plain" id="' + name.encode() + b'">' + content + b"</script>"
