"""What EXIF says of a photo. EXIF is often broken; that must never cost the picture."""

import contextlib
import re
from dataclasses import dataclass
from datetime import datetime

from PIL import ExifTags, Image

VERSION = 2
"""Of what is read of a file beside its pixels. Raise it when EXIF or a header is read otherwise than before:
status then counts what is outdated, and ingest --refresh reads it again."""

# The oldest photograph is from 1826 (people date their scans); other years come from cameras without a clock.
_YEARS = range(1826, 2101)
_DATE = re.compile(
    r"\s*([0-9]{4})[:/.-]([0-9]{1,2})[:/.-]([0-9]{1,2})(?:[ T]+([0-9]{1,2}):([0-9]{1,2})(?::([0-9]{1,2}))?)?"
)
# Of a scan often the year alone is known, or the month; what is not known is 00, blank or left out.
_PARTIAL = re.compile(r"\s*([0-9]{4})(?:[:/.-]([0-9]{1,2}))?[\s\0:]*")
_MAX_NAME = 100
# RW2 and ORF are TIFF except for the number after the byte order.
_TIFF_HEADS = {
    b"II*\0": b"II*\0",
    b"MM\0*": b"MM\0*",
    b"IIU\0": b"II*\0",
    b"IIRO": b"II*\0",
    b"IIRS": b"II*\0",
    b"MMOR": b"MM\0*",
}


@dataclass(frozen=True, slots=True)
class PhotoData:
    """When and with what a photo was taken; None if EXIF does not say, or says nonsense."""

    taken_at: datetime | None
    camera_make: str | None
    camera_model: str | None


NOTHING = PhotoData(None, None, None)


def photo_data(image: Image.Image) -> PhotoData:
    """Return what EXIF says of a loaded image (PNG may hold its EXIF behind the pixels); never raises."""
    try:
        exif = image.getexif()
    except Exception:  # noqa: BLE001 - Pillow's parser fails in many ways, but the picture is fine
        return NOTHING
    return _photo_data(exif)


def photo_data_of_tiff(data: bytes) -> PhotoData:
    """Return what the first directory of a TIFF says (most camera raws are TIFF); never raises."""
    head = _TIFF_HEADS.get(data[:4])
    if head is None:
        return NOTHING
    exif = Image.Exif()
    try:
        exif.load(head + data[4:])
    except Exception:  # noqa: BLE001 - as above
        return NOTHING
    return _photo_data(exif)


def _photo_data(exif: Image.Exif) -> PhotoData:
    tags = _tags(exif)
    return PhotoData(
        taken_at=_first_date(
            tags.get(ExifTags.Base.DateTimeOriginal),
            tags.get(ExifTags.Base.DateTimeDigitized),
            tags.get(ExifTags.Base.DateTime),
        ),
        camera_make=parse_name(tags.get(ExifTags.Base.Make)),
        camera_model=parse_name(tags.get(ExifTags.Base.Model)),
    )


def parse_date(value: object) -> datetime | None:
    """Return EXIF's local time "2003:05:17 12:34:56"; garbage is None.

    A date alone is its midnight, a month ("2003:05", "2003:05:00") its first day, a year its first of January.
    """
    text = _text(value)
    found = _DATE.match(text) or _PARTIAL.fullmatch(text)
    if found is None:
        return None
    parts = [int(part or 0) for part in found.groups()]
    year, month, day, hour, minute, second = parts + [0] * (6 - len(parts))
    if year not in _YEARS:
        return None
    try:
        return datetime(  # noqa: DTZ001 - EXIF's time has no zone
            year, month or 1, day if month and day else 1, hour, minute, second
        )
    except ValueError:
        return None


def parse_name(value: object) -> str | None:
    """Return a camera's name on one line, without NULs, of at most 100 characters; None when empty."""
    printable = "".join(c if c.isprintable() else " " for c in _text(value))
    return " ".join(printable.split())[:_MAX_NAME].rstrip() or None


def _tags(exif: Image.Exif) -> dict[int, object]:
    tags: dict[int, object] = {}
    for tag in (ExifTags.Base.DateTime, ExifTags.Base.Make, ExifTags.Base.Model):
        with contextlib.suppress(Exception):  # one bad tag must not cost the others
            tags[tag] = exif.get(tag)
    with contextlib.suppress(Exception):
        tags.update(exif.get_ifd(ExifTags.IFD.Exif))
    return tags


def _first_date(*values: object) -> datetime | None:
    return next((date for date in map(parse_date, values) if date is not None), None)


def _text(value: object) -> str:
    # EXIF holds text as ASCII by the standard, in practice as UTF-8, or as anything else; Latin-1 never fails.
    if isinstance(value, str):
        try:
            value = value.encode("latin-1")  # what Pillow has made of the bytes
        except UnicodeEncodeError:
            return str(value)
    if not isinstance(value, bytes):
        return ""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
