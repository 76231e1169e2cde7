"""Small square pictures of photos, decoded in other processes, a few ahead; and in HTML for a notebook."""

import base64
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from io import BytesIO

from PIL import Image, ImageDraw

from imrec_pg.decoding import Decoders, Thumbnail
from imrec_pg.errors import DecodeError
from imrec_pg.images import content
from imrec_pg.paths import display_path, terminal_text

_THREADS = 4  # that read files ahead of the decoders
_AHEAD = 64  # thumbnails waited for: 30 kB each
_HTML_SIDE = 120
MOST_IN_HTML = 20
"""Photos that a notebook shows as pictures."""
GREY, DARKER = (213, 217, 222), (178, 184, 192)


def squares(paths: Iterable[bytes], decoders: Decoders, side: int) -> Iterator[Image.Image | None]:
    """Yield the middle of each photo, turned as EXIF says, side pixels high and wide; None for what cannot be read.

    Ended early, by Ctrl-C for example, it closes the decoders: else it would wait for pictures that take long.
    """
    waiting: deque[Future[Thumbnail | None]] = deque()
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="imrec-thumbnails")

    def next_one() -> Image.Image | None:
        found = waiting.popleft().result()
        return None if found is None else Image.frombytes("RGB", (side, side), found.pixels)

    try:
        for path in paths:
            if len(waiting) >= _AHEAD:
                yield next_one()
            waiting.append(pool.submit(_thumbnail, path, decoders, side))
        while waiting:
            yield next_one()
    except BaseException:
        decoders.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def placeholder(side: int) -> Image.Image:
    """Return what stands for a photo that cannot be read: a grey square."""
    picture = Image.new("RGB", (side, side), GREY)
    ImageDraw.Draw(picture).rectangle((0, 0, side - 1, side - 1), outline=DARKER)
    return picture


@dataclass(frozen=True, slots=True)
class Captioned:
    """A photo in a notebook.

    Attributes:
        path: raw bytes of the absolute path; None where there is no file.
        caption: below the picture, and in bold.
        detail: smaller, below that.
    """

    path: bytes | None
    caption: str
    detail: str


def html_of(title: str, photos: Sequence[Captioned]) -> str:
    """Return photos side by side as HTML, their pictures inside; whatever stands in names is text."""
    with Decoders(len(photos) // 8) as decoders:
        pictures = list(squares([photo.path or b"" for photo in photos], decoders, _HTML_SIDE))
    figures = "".join(map(_figure, photos, pictures))
    return f"<div><p>{_text(title)}</p>{figures}</div>"


def _figure(photo: Captioned, picture: Image.Image | None) -> str:
    small = BytesIO()
    (picture or placeholder(_HTML_SIDE)).save(small, "WEBP", quality=75)
    encoded = base64.b64encode(small.getvalue()).decode()
    name = "no file" if photo.path is None else display_path(photo.path)
    return (
        f'<figure style="display:inline-block;width:{_HTML_SIDE}px;margin:4px;vertical-align:top;'
        'overflow-wrap:anywhere;font-size:11px">'
        f'<img width="{_HTML_SIDE}" height="{_HTML_SIDE}" title="{_text(name)}" alt="{_text(name)}"'
        f' src="data:image/webp;base64,{encoded}">'
        f"<figcaption><b>{_text(photo.caption)}</b><br>{_text(photo.detail)}</figcaption></figure>"
    )


def _text(text: str) -> str:
    return escape(terminal_text(text))


def _thumbnail(path: bytes, decoders: Decoders, side: int) -> Thumbnail | None:
    try:
        return decoders.square(content.read(path), display_path(path), side)()
    except DecodeError:
        return None
