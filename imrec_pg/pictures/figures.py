"""Figures by matplotlib (the extra [map]), without a display and without the user's settings."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from imrec_pg.analysis.extras import own_folder
from imrec_pg.errors import ImrecError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 120


@dataclass(frozen=True, slots=True)
class Paper:
    """What a figure is drawn on.

    Attributes:
        ground: its colour.
        ink: of titles and names.
        faint_ink: of what is less important.
    """

    ground: str
    ink: str
    faint_ink: str


LIGHT = Paper("#ffffff", "#1b1f24", "#5c6570")
DARK = Paper("#14171a", "#e8eaed", "#a2abb5")


def new_figure(inches: tuple[float, float], paper: Paper) -> "Figure":
    """Return an empty figure.

    Raises:
        ImrecError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise ImrecError("pictures need matplotlib, which is not installed: pip install 'imrec-pg[map]'")
    with own_folder("matplotlib") as folder, _variable("MPLCONFIGDIR", str(folder)):
        from matplotlib.backends import backend_agg
        from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=_DPI, facecolor=paper.ground)
    backend_agg.FigureCanvasAgg(figure)
    return figure


def write_titles(figure: "Figure", paper: Paper, title: str, detail: str) -> None:
    """Write a title at the upper left, and details at the right."""
    figure.text(0.015, 0.968, title, fontsize=15, color=paper.ink, va="center", parse_math=False)
    style = {"fontsize": 11, "color": paper.faint_ink, "ha": "right"}
    figure.text(0.985, 0.968, detail, style, va="center", parse_math=False)


def rendered(figure: "Figure") -> Image.Image:
    """Return a figure as pixels."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI, facecolor=figure.get_facecolor())
    drawn.seek(0)
    return Image.open(drawn).convert("RGB")


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
