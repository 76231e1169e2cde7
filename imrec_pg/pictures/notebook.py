"""What clusters, maps and answers show of themselves in a notebook: HTML, with at most 20 photos in it."""

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO

from imrec_pg.analysis.records import Clustering
from imrec_pg.errors import ImrecError
from imrec_pg.paths import terminal_text
from imrec_pg.pictures.drawing import draw_map
from imrec_pg.pictures.shown import Colour, ShownMap
from imrec_pg.thumbnails import MOST_IN_HTML, Captioned, html_of

_WIDTH = 900


def clusters_html(clustering: Clustering, paths: Sequence[bytes | None]) -> str:
    """Return the most typical photo of each cluster, with what its photos have in common.

    paths are those of the medoids, in the order of the clusters; None where there is no file.
    """
    photos = [
        Captioned(
            path,
            f"{one.cluster}: {one.size:,} photos",
            ", ".join(str(part) for part in (one.folder, one.year, one.camera) if part),
        )
        for one, path in zip(clustering.clusters, paths, strict=True)
    ]
    where = "on the map by " if clustering.map_id else "by "
    rest = len(photos) - MOST_IN_HTML
    more = f"; the {MOST_IN_HTML} largest" if rest > 0 else ""
    return html_of(f"{clustering.k:,} clusters {where}{clustering.feature}{more}", photos[:MOST_IN_HTML])


def map_html(shown: ShownMap) -> str:
    """Return a picture of a map, or what it is in words where pictures cannot be drawn."""
    said = f"{len(shown.points):,} photos by {shown.points.info.feature}"
    try:
        picture = draw_map(shown, Colour.CLUSTER, photos=MOST_IN_HTML)
    except ImrecError as error:
        return f"<p>{escape(said)} ({escape(terminal_text(str(error)))})</p>"
    small = BytesIO()
    picture.reduce(2).save(small, "WEBP", quality=85)
    encoded = base64.b64encode(small.getvalue()).decode()
    return f'<img width="{_WIDTH}" alt="{escape(said)}" src="data:image/webp;base64,{encoded}">'
