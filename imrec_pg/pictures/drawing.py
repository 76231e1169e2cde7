"""Pictures of maps, drawn by matplotlib (the extra [map])."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imrec_pg.pictures.figures import DARK, LIGHT, Paper, new_figure, rendered, write_titles
from imrec_pg.pictures.palette import OTHERS, lightened, palette, rgb
from imrec_pg.pictures.placed_photos import MOST_PHOTOS, PhotosOnMap
from imrec_pg.pictures.shown import Colour, Groups, ShownMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES = (14.0, 10.0)
_MOST_DOTS = 20_000  # beyond, dots hide each other, and shades of how many there are say more
_CELLS = 560  # of shades, a side
_TILT, _TURN = np.radians(22), np.radians(35)
_LINES = 24  # of groups in the legend
_LETTERS = 22  # of a name beside the map


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is drawn.

    Attributes:
        at: float32 (images, 2).
        near: how near each is to the eye, 0 to 1.
        colours: of the groups, and of what is in none.
    """

    at: NDArray[np.float32]
    near: NDArray[np.float32]
    groups: Groups
    colours: list[str]
    paper: Paper


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


def draw_map(
    shown: ShownMap, colour: Colour, *, photos: int = MOST_PHOTOS, dark: bool = False
) -> Image.Image:
    """Return a picture of a map: dots, or shades where there are many, and photos at the middle of groups.

    photos is how many are tried, first one of each group, then others by chance; those without room are left out.

    Raises:
        ImrecError: the extra [map] is not installed.
    """
    groups = shown.groups(colour)
    colours = lightened(palette(groups)) if dark else palette(groups)
    seen = _Seen(*flat(shown.points.points), groups, colours, DARK if dark else LIGHT)
    figure = new_figure(_INCHES, seen.paper)
    axes = figure.add_axes((0.01, 0.01, 0.81, 0.93))
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.06)
    if len(seen.at) <= _MOST_DOTS:
        _draw_dots(axes, seen)
    else:
        _draw_shades(axes, seen)
    info = shown.points.info
    title = f"{len(seen.at):,} photos by {info.feature}, in {info.dims} dimensions"
    write_titles(figure, seen.paper, title, _figures(shown))
    _write_legend(figure, seen)
    picture = rendered(figure)
    if photos:
        placed = PhotosOnMap(picture, axes.transData.transform(seen.at), colours, seen.paper.ground)
        placed.draw(shown, groups, colour, photos)
    return picture


def _draw_dots(axes: "Axes", seen: _Seen) -> None:
    order = np.argsort(seen.near, kind="stable")  # what is near is drawn over what is far
    size = float(np.clip(24_000 / max(1, len(seen.at)), 4, 90))
    # What is far fades into the paper.
    ground = rgb([seen.paper.ground])
    shade = (0.35 + 0.65 * seen.near)[:, None]
    faded = ground + (rgb(seen.colours)[seen.groups.of_each] - ground) * shade
    axes.scatter(
        seen.at[order, 0],
        seen.at[order, 1],
        s=size * (0.5 + 0.5 * seen.near[order]),
        c=faded[order],
        linewidths=0,
        alpha=0.85,
    )


def _draw_shades(axes: "Axes", seen: _Seen) -> None:
    low, high = seen.at.min(axis=0), seen.at.max(axis=0)
    span = (high - low).max() or 1.0
    low, high = (low + high - span * 1.02) / 2, (low + high + span * 1.02) / 2
    cells = np.clip(((seen.at - low) / (high - low) * _CELLS).astype(int), 0, _CELLS - 1)
    place = cells[:, 1] * _CELLS + cells[:, 0]
    # What is near hides what is far behind it.
    weight = 0.05 + seen.near.astype(np.float64) ** 2
    of_each, colours = rgb(seen.colours)[seen.groups.of_each], np.zeros((_CELLS**2, 3))
    for channel in range(3):
        colours[:, channel] = np.bincount(place, weight * of_each[:, channel], minlength=_CELLS**2)
    count = np.bincount(place, minlength=_CELLS**2)
    weights = np.bincount(place, weight, minlength=_CELLS**2)
    here = count > 0
    # On a scale of logarithms one photo is still seen, and a thousand are told from ten thousand.
    dense = np.log1p(count[here]) / np.log1p(np.quantile(count[here], 0.999))
    nearness = np.bincount(place, seen.near, minlength=_CELLS**2)[here] / count[here]
    shade = np.minimum((0.25 + 0.75 * dense) * (0.4 + 0.6 * nearness), 1)
    ground = rgb([seen.paper.ground])
    shown = np.repeat(ground, _CELLS**2, axis=0)
    shown[here] = ground + (colours[here] / weights[here, None] - ground) * shade[:, None]
    extent = (low[0], high[0], low[1], high[1])
    axes.imshow(shown.reshape(_CELLS, _CELLS, 3), origin="lower", extent=extent, interpolation="nearest")


def _figures(shown: ShownMap) -> str:
    info = shown.points.info
    measured = (
        ("trustworthiness", info.trustworthiness),
        ("preservation", info.neighbour_preservation),
        ("agreement", info.agreement),
    )
    return ", ".join(f"{name} {value:.2f}" for name, value in measured if value is not None)


def _write_legend(figure: "Figure", seen: _Seen) -> None:
    drawable = _drawable()
    for number, (name, size, colour) in enumerate(_legend(seen)):
        y = 0.9 - 0.032 * number
        if colour:
            figure.text(0.83, y, "\N{BLACK CIRCLE}", fontsize=15, color=colour, va="center")
        short = "".join(c if c.isprintable() and ord(c) in drawable else "\ufffd" for c in name)
        short = short if len(short) <= _LETTERS else f"…{short[1 - _LETTERS :]}"
        style = {"fontsize": 11, "va": "center"}
        figure.text(0.848, y, short, style, color=seen.paper.ink, parse_math=False)
        figure.text(0.99, y, f"{size:,}", style, color=seen.paper.faint_ink, ha="right", parse_math=False)


def _legend(seen: _Seen) -> Iterator[tuple[str, int, str]]:
    """Yield what groups are called, how many photos they have, and their colours, as far as there is room."""
    groups = seen.groups
    number = len(groups.names)
    lines = range(number)
    if groups.in_order and number > _LINES:
        lines = range(0, number, -(-number // _LINES))
    for line in lines[:_LINES]:
        yield groups.names[line], groups.sizes[line], seen.colours[line]
    if not groups.in_order and number > _LINES:
        yield f"{number - _LINES} more", sum(groups.sizes[_LINES:]), ""
    for name, size in groups.grey:
        yield name, size, OTHERS


def _drawable() -> Collection[int]:
    """Return the characters that matplotlib's own font has; of others it would warn, and draw empty boxes."""
    from matplotlib.font_manager import findfont, get_font

    return get_font(findfont("DejaVu Sans")).get_charmap()
