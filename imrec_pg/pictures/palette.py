"""The colours of the groups of a map."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imrec_pg.pictures.shown import Groups

# Okabe and Ito's colours, which the colour-blind tell apart, and darker ones of them (jfly.uni-koeln.de/color).
COLOURS = (
    *("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"),
    *("#b8a900", "#5b2a86", "#8c564b", "#2f4b7c", "#7fb069", "#c43b6f"),
)
OTHERS = "#9aa1a9"
"""Of photos in no group, and in groups beyond those that have a colour."""

# From dark to light, as matplotlib's viridis; its yellow would not be seen on white.
_IN_ORDER = ("#440154", "#3b528b", "#21918c", "#5ec962", "#d9b310")
_PALER = 0.45


def palette(groups: Groups) -> list[str]:
    """Return the colour of each group, and OTHERS as the last.

    Groups in an order go from dark to light. Of others the twelve largest have colours far from each other;
    the next twelve have these paler, and so on.
    """
    number = len(groups.sizes)
    if groups.in_order:
        at = np.linspace(0, len(_IN_ORDER) - 1, number) if number > 1 else np.array([1.0])
        anchors = rgb(_IN_ORDER)
        mixed = np.stack(
            [np.interp(at, np.arange(len(_IN_ORDER)), anchors[:, channel]) for channel in range(3)], axis=1
        )
        return [*map(_name, mixed), OTHERS]
    full = rgb(COLOURS)
    return [
        *(_name(1 - (1 - full[n % len(full)]) * (1 - _PALER) ** (n // len(full))) for n in range(number)),
        OTHERS,
    ]


def lightened(colours: Sequence[str]) -> list[str]:
    """Return colours as they are seen well on dark paper."""
    return [_name(1 - (1 - colour) * 0.7) for colour in rgb(colours)]


def rgb(colours: Sequence[str]) -> NDArray[np.float64]:
    """Return colours such as #0072b2 as numbers from 0 to 1, float64 (n, 3)."""
    return np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])


def _name(colour: NDArray[np.float64]) -> str:
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in colour)
