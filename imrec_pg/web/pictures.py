"""Pictures of stored photos: thumbnails, originals, and what stands for those that cannot be shown."""

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from PIL import Image, ImageDraw, ImageFont

from imrec_pg.catalogue.images import LocalFile
from imrec_pg.decoding import Decoders
from imrec_pg.errors import DecodeError
from imrec_pg.images import content, formats
from imrec_pg.images.beneath import OutsideError, open_beneath
from imrec_pg.paths import display_path
from imrec_pg.thumbnails import DARKER, GREY
from imrec_pg.web.thumbnail_cache import ThumbnailCache

SIDES = (256, 1024)
"""Of thumbnails, in pixels."""
_INK = (70, 76, 84)

# Only what browsers show as pictures, and do nothing else with; the rest is for saving.
_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "HEIC": "image/heic",
}
_REASONS = {
    "missing": "The file is missing",
    "unmounted": "Its folder is not here:\nis the disk mounted?",
    "outside": "A link leads\nout of its root",
    "changed": "The file has changed:\ningest it again",
    "unreadable": "The file cannot\nbe read",
    "undecodable": "The picture cannot\nbe decoded",
}


class NoPictureError(Exception):
    """A photo cannot be shown.

    Attributes:
        reason: a short name: missing, unmounted, outside, changed, unreadable, undecodable.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(" ".join(_REASONS[reason].split()))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Original:
    """An open file that holds exactly the bytes of an image; close it.

    Attributes:
        media_type: of formats that are pictures; else application/octet-stream.
        name: of the file, for display.
    """

    file: io.BufferedReader
    size: int
    media_type: str
    name: str


class Pictures:
    """Makes pictures of photos in the bounded decoders, and keeps the thumbnails; close it.

    Args:
        local_files: where the files of an image lie, for the role of the database that the server is.
        cache: keeps thumbnails.
    """

    def __init__(self, local_files: Callable[[UUID], list[LocalFile]], cache: ThumbnailCache) -> None:
        self._local_files = local_files
        self._cache = cache
        self._decoders = Decoders()

    def close(self) -> None:
        """End the decoders."""
        self._decoders.close()

    def thumbnail(self, image_id: UUID, side: int) -> bytes:
        """Return a stored photo as a WebP file that fits into a square.

        Raises:
            ImageNotFoundError: no image that the server's role may see has the id.
            NoPictureError: it cannot be shown.
        """
        local_files = self._local_files(
            image_id
        )  # first of all: whoever may see no such image gets no cached one
        found = self._cache.get(image_id, side)
        if found is None:
            found = self._made(image_id, local_files, side)
            self._cache.put(image_id, side, found)
        return found

    def of_sent(self, data: bytes, side: int) -> bytes:
        """Return an image that was sent as a WebP file that fits into a square.

        Raises:
            DecodeError: it is no image that can be read.
        """
        read = content.FileContent(data, len(data), 0, content.image_id_of(data))
        return self._decoders.webp(read, "the image that was sent", side)()

    def original(self, image_id: UUID) -> Original:
        """Return the open file of a stored photo.

        Raises:
            ImageNotFoundError: no image that the server's role may see has the id.
            NoPictureError: there is no file on this host that holds these bytes.
        """
        reason = "missing"
        for local in self._local_files(image_id):
            try:
                file = open_beneath(local.folder, local.relative_path)
            except OutsideError:
                reason = "outside"
                continue
            except OSError:
                reason = _why_not(local)
                continue
            # The id is a digest: a file that somebody has put in its place is not served.
            digest = hashlib.file_digest(file, "sha256").digest()
            if UUID(bytes=digest[:16]) == image_id:
                return _original(file, local)
            file.close()
            reason = "changed"
        raise NoPictureError(reason)

    def _made(self, image_id: UUID, local_files: list[LocalFile], side: int) -> bytes:
        reason = "missing"
        for local in local_files:
            try:
                read = content.read_beneath(local.folder, local.relative_path)
            except DecodeError as error:
                reason = _reason_of(error, local)
                continue
            if read.image_id != image_id:
                reason = "changed"
                continue
            try:
                return self._decoders.webp(read, display_path(local.relative_path), side)()
            except DecodeError as error:
                raise NoPictureError("undecodable") from error
        raise NoPictureError(reason)


@lru_cache(maxsize=32)
def placeholder(reason: str, side: int) -> bytes:
    """Return a grey picture, as WebP, that says why there is no other."""
    picture = Image.new("RGB", (side, side), GREY)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, side - 1, side - 1), outline=DARKER)
    font = ImageFont.load_default(side / 15)
    draw.multiline_text((side / 2, side / 2), _REASONS[reason], _INK, font, anchor="mm", align="center")
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def _reason_of(error: DecodeError, local: LocalFile) -> str:
    if error.kind == "OutsideRoot":
        return "outside"
    if error.kind == "Vanished":
        return _why_not(local)
    return "changed" if error.kind in {"Empty", "ChangedWhileRead"} else "unreadable"


def _why_not(local: LocalFile) -> str:
    if not Path(os.fsdecode(local.folder)).is_dir():
        return "unmounted"
    return "unreadable" if os.path.lexists(os.path.join(local.folder, local.relative_path)) else "missing"  # noqa: PTH118 - bytes


def _original(file: io.BufferedReader, local: LocalFile) -> Original:
    size = file.tell()
    file.seek(0)
    head = file.read(formats.HEAD_SIZE)
    file.seek(0)
    found = formats.recognise(head, formats.extension(local.relative_path))
    name = display_path(local.relative_path.rpartition(b"/")[2])
    return Original(file, size, _TYPES.get(found or "", "application/octet-stream"), name)
