"""Pictures of clusters and maps, drawn by matplotlib (the extra [map]) without a display."""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from imrec_pg.analysis.extras import own_folder
from imrec_pg.analysis.records import Clustering
from imrec_pg.decoding import Decoders
from imrec_pg.errors import ImrecError
from imrec_pg.pictures.shown import Colour, Groups, ShownMap
from imrec_pg.thumbnails import squares

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind tell apart, and darker ones of them (jfly.uni-koeln.de/color).
COLOURS = (
    *("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"),
    *("#b8a900", "#5b2a86", "#8c564b", "#2f4b7c", "#7fb069", "#c43b6f"),
)
OTHERS = "#9aa1a9"
_INK, _PAPER = "#1b1f24", "#ffffff"
_INCHES, _DPI = (14.0, 10.0), 120
_MOST_DOTS = 20_000  # beyond, dots hide each other, and shades of how many there are say more
_CELLS = 560  # of shades, a side
_THUMBNAIL, _SMALLER = 92, 62
MOST_PHOTOS = 250
"""Photos that are tried on a picture; most have no room."""
_TILT, _TURN = np.radians(22), np.radians(35)


def flat(points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return where points are seen from the side, float32 (n, 2), and how near they are to the eye, 0 to 1."""
    if points.shape[1] == 2:  # noqa: PLR2004 - a flat map
        return points, np.ones(len(points), np.float32)
    x, y, z = (points - points.mean(axis=0)).T
    across = np.cos(_TURN) * x + np.sin(_TURN) * y
    deep = -np.sin(_TURN) * x + np.cos(_TURN) * y
    up = np.cos(_TILT) * z + np.sin(_TILT) * deep
    near = np.sin(_TILT) * z - np.cos(_TILT) * deep
    span = float(np.ptp(near))
    nearness = (near - near.min()) / span if span else np.ones_like(near)
    return np.stack([across, up], axis=1), nearness.astype(np.float32)


def draw_map(shown: ShownMap, colour: Colour, *, photos: int = MOST_PHOTOS) -> Image.Image:
    """Return a picture of a map: dots, or shades where there are many, and photos at the middle of groups.

    photos is how many are tried, first one of each group, then others by chance; those without room are left out.

    Raises:
        ImrecError: the extra [map] is not installed.
    """
    groups = shown.groups(colour)
    seen, near = flat(shown.points.points)
    figure = _figure()
    axes = figure.add_axes((0.01, 0.01, 0.81, 0.93))
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.06)
    if len(seen) <= _MOST_DOTS:
        _draw_dots(axes, seen, near, groups)
    else:
        _draw_shades(axes, seen, groups)
    info = shown.points.info
    _write(figure, f"{len(seen):,} photos by {info.feature}, in {info.dims} dimensions", _figures(shown))
    _write_legend(figure, groups)
    picture = _drawn(figure, axes, seen, shown, groups, colour, photos)
    return picture.convert("RGB")


def draw_elbow(clustering: Clustering) -> Image.Image:
    """Return a picture of the curve by whose elbow the number of clusters was chosen.

    Raises:
        ImrecError: the extra [map] is not installed.
    """
    figure = _figure((9.0, 6.0))
    axes = figure.add_axes((0.1, 0.11, 0.86, 0.78))
    ks, inertias = zip(*clustering.curve, strict=True)
    axes.plot(ks, inertias, marker="o", color=COLOURS[0])
    at = dict(clustering.curve).get(clustering.k)
    axes.axvline(clustering.k, color=COLOURS[3], linestyle="--", label=f"elbow: k = {clustering.k}")
    if at is not None:
        axes.plot([clustering.k], [at], marker="o", markersize=11, color=COLOURS[3])
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("clusters (k)")
    axes.set_ylabel("mean squared distance to the nearest centre")
    axes.grid(visible=True, color="#e3e7eb")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    where = "on the map by " if clustering.map_id else "by "
    _write(figure, f"{clustering.images:,} photos {where}{clustering.feature}", "")
    return _rendered(figure)[0].convert("RGB")


def _figure(inches: tuple[float, float] = _INCHES) -> "Figure":
    if find_spec("matplotlib") is None:
        raise ImrecError("pictures need matplotlib, which is not installed: pip install 'imrec-pg[map]'")
    with own_folder("matplotlib") as folder, _variable("MPLCONFIGDIR", str(folder)):
        from matplotlib.backends import backend_agg
        from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=_DPI, facecolor=_PAPER)
    backend_agg.FigureCanvasAgg(figure)
    return figure


@contextmanager
def _variable(name: str, content: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = content
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _draw_dots(axes: "Axes", seen: NDArray[np.float32], near: NDArray[np.float32], groups: Groups) -> None:
    order = np.argsort(near, kind="stable")  # what is near is drawn over what is far
    size = float(np.clip(24_000 / max(1, len(seen)), 4, 90))
    colours = _rgb([*COLOURS[: len(groups.names)], OTHERS])[groups.of_each]
    # What is far fades into the paper.
    faded = 1 - (1 - colours) * (0.35 + 0.65 * near[:, None])
    axes.scatter(
        seen[order, 0],
        seen[order, 1],
        s=size * (0.5 + 0.5 * near[order]),
        c=faded[order],
        linewidths=0,
        alpha=0.85,
    )


def _draw_shades(axes: "Axes", seen: NDArray[np.float32], groups: Groups) -> None:
    low, high = seen.min(axis=0), seen.max(axis=0)
    span = (high - low).max() or 1.0
    low, high = (low + high - span * 1.02) / 2, (low + high + span * 1.02) / 2
    cells = np.clip(((seen - low) / (high - low) * _CELLS).astype(int), 0, _CELLS - 1)
    place = cells[:, 1] * _CELLS + cells[:, 0]
    mixed, total = np.zeros((_CELLS**2, 3)), np.zeros(_CELLS**2)
    for number, rgb in enumerate(_rgb([*COLOURS[: len(groups.names)], OTHERS])):
        chosen = groups.of_each == (number if number < len(groups.names) else -1)
        count = np.bincount(place[chosen], minlength=_CELLS**2)
        mixed += count[:, None] * rgb
        total += count
    here = total > 0
    # On a scale of logarithms one photo is still seen, and a thousand are told from ten thousand.
    shade = np.zeros(_CELLS**2)
    shade[here] = 0.25 + 0.75 * np.log1p(total[here]) / np.log1p(np.quantile(total[here], 0.999))
    rgb = np.ones((_CELLS**2, 3))
    rgb[here] = 1 - (1 - mixed[here] / total[here, None]) * np.minimum(shade[here], 1)[:, None]
    extent = (low[0], high[0], low[1], high[1])
    axes.imshow(rgb.reshape(_CELLS, _CELLS, 3), origin="lower", extent=extent, interpolation="nearest")


def _drawn(
    figure: "Figure",
    axes: "Axes",
    seen: NDArray[np.float32],
    shown: ShownMap,
    groups: Groups,
    colour: Colour,
    photos: int,
) -> Image.Image:
    """Return the rendered figure with a photo at the middle of each group, where there is room."""
    picture, height = _rendered(figure)
    chosen = _typical(seen, shown, groups, colour)[:photos]
    if not chosen:
        return picture
    places = axes.transData.transform(seen[[at for at, _ in chosen]])
    colours = (*COLOURS[: len(groups.names)], OTHERS)
    taken: list[tuple[float, float, int]] = []
    with Decoders() as decoders:
        paths = [shown.paths[at] or b"" for at, _ in chosen]
        small = squares(paths, decoders, _THUMBNAIL)
        for number, ((x, y), (_, group), found) in enumerate(zip(places, chosen, small, strict=True)):
            side = _THUMBNAIL if number < len(groups.names) else _SMALLER
            left, top = int(x - side / 2), int(height - y - side / 2)
            inside = 0 <= left < picture.width * 0.82 - side and picture.height * 0.06 < top < height - side
            if found is None or not inside or any(_overlap((left, top, side), one) for one in taken):
                continue
            taken.append((left, top, side))
            framed = ImageOps.expand(found.resize((side - 8, side - 8), Image.Resampling.LANCZOS), 1, _PAPER)
            picture.paste(ImageOps.expand(framed, 3, colours[group]), (left, top))
    return picture


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
    seen: NDArray[np.float32], shown: ShownMap, groups: Groups, colour: Colour
) -> list[tuple[int, int]]:
    """Return photos, each with the number of its group: first one of each group, then others by chance.

    The one of a group is its medoid, or else the one nearest to its middle.
    """
    found = []
    medoids: dict[str, UUID] = {
        f"cluster {number}": image for number, image in shown.medoids.get(colour, {}).items()
    }
    for group, name in enumerate(groups.names):
        of_group = np.flatnonzero(groups.of_each == group)
        at: int | None = None
        if (medoid := medoids.get(name)) is not None:
            same = np.flatnonzero(shown.points.image_ids[of_group] == np.void(medoid.bytes))
            at = int(of_group[same[0]]) if len(same) else None
        if at is None:
            middle = np.median(seen[of_group], axis=0)
            at = int(of_group[np.argmin(((seen[of_group] - middle) ** 2).sum(axis=1))])
        found.append((at, group))
    others = np.random.default_rng(0).permutation(len(seen))[:MOST_PHOTOS]
    return found + [(int(at), int(groups.of_each[at])) for at in others]


def _figures(shown: ShownMap) -> str:
    info = shown.points.info
    measured = (
        ("trustworthiness", info.trustworthiness),
        ("preservation", info.neighbour_preservation),
        ("agreement", info.agreement),
    )
    return ", ".join(f"{name} {value:.2f}" for name, value in measured if value is not None)


def _write(figure: "Figure", title: str, detail: str) -> None:
    figure.text(0.015, 0.968, title, fontsize=15, color=_INK, va="center", parse_math=False)
    figure.text(0.985, 0.968, detail, fontsize=11, color="#5c6570", va="center", ha="right", parse_math=False)


def _write_legend(figure: "Figure", groups: Groups) -> None:
    lines = [(name, COLOURS[number]) for number, name in enumerate(groups.names)]
    if groups.rest:
        lines.append((groups.rest, OTHERS))
    drawable = _drawable()
    for number, (name, colour) in enumerate(lines):
        y = 0.9 - 0.032 * number
        figure.text(0.83, y, "\N{BLACK CIRCLE}", fontsize=15, color=colour, va="center")
        short = "".join(c if c.isprintable() and ord(c) in drawable else "\ufffd" for c in name)
        short = short if len(short) <= 24 else f"…{short[-23:]}"  # noqa: PLR2004 - what fits beside the map
        figure.text(0.848, y, short, fontsize=11, color=_INK, va="center", parse_math=False)


def _drawable() -> Collection[int]:
    """Return the characters that matplotlib's own font has; of others it would warn, and draw empty boxes."""
    from matplotlib.font_manager import findfont, get_font

    return get_font(findfont("DejaVu Sans")).get_charmap()


def _rgb(colours: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])


def _rendered(figure: "Figure") -> tuple[Image.Image, int]:
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI, facecolor=_PAPER)
    drawn.seek(0)
    picture = Image.open(drawn).convert("RGB")
    return picture, picture.height
