"""The picture of the curve by whose elbow a number of clusters was chosen."""

from PIL import Image

from imrec_pg.analysis.records import Clustering
from imrec_pg.pictures.figures import LIGHT, new_figure, rendered, write_titles
from imrec_pg.pictures.palette import COLOURS


def draw_elbow(clustering: Clustering) -> Image.Image:
    """Return a picture of the curve by whose elbow the number of clusters was chosen.

    Raises:
        ImrecError: the extra [map] is not installed.
    """
    figure = new_figure((9.0, 6.0), LIGHT)
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
    write_titles(figure, LIGHT, f"{clustering.images:,} photos {where}{clustering.feature}", "")
    return rendered(figure)
