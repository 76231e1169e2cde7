"""A writer of small TIFF and DNG files (TIFF 6.0, Adobe 1992; DNG 1.4, Adobe 2012)."""

import io
import struct
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BYTE, ASCII, SHORT, LONG, RATIONAL, SRATIONAL = 1, 2, 3, 4, 5, 10
_FORMATS = {BYTE: "B", SHORT: "H", LONG: "I", RATIONAL: "2I", SRATIONAL: "2i"}
# From XYZ to linear sRGB (IEC 61966-2-1), in ten-thousandths.
_MATRIX = [32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570]

Entry: TypeAlias = tuple[int, int, Sequence[int] | bytes]
"""Tag, type, values; of a rational each value is in ten-thousandths."""

_CAMERA: list[Entry] = [
    (50706, BYTE, [1, 4, 0, 0]),  # DNGVersion
    (271, ASCII, b"Imaginary\0"),
    (272, ASCII, b"Ideal 1\0"),
    (306, ASCII, b"2021:02:03 04:05:06\0"),
    (50708, ASCII, b"Imaginary Ideal 1\0"),  # UniqueCameraModel
    (50721, SRATIONAL, _MATRIX),  # ColorMatrix1
    (50728, RATIONAL, [10000, 10000, 10000]),  # AsShotNeutral
    (50778, SHORT, [21]),  # CalibrationIlluminant1: D65
]


def dng(
    rgb: NDArray[np.float64],
    *,
    orientation: int = 1,
    preview: bytes | None = None,
    size: tuple[int, int] | None = None,
) -> bytes:
    """Return a DNG of linear sRGB (H, W, 3), 0 to 1, even sides; the preview is a JPEG.

    The raw data lie uncompressed behind a red, green, green, blue mosaic. The camera is ideal: it sees linear
    sRGB under daylight. size is what the header claims.
    """
    height, width = rgb.shape[:2]
    mosaic = np.empty((height, width))
    for (row, column), channel in {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 2}.items():
        mosaic[row::2, column::2] = rgb[row::2, column::2, channel]
    data = np.rint(mosaic * 65535).astype("<u2").tobytes()
    claimed = size or (width, height)
    raw: list[Entry] = [
        (254, LONG, [0]),  # NewSubfileType: the picture itself
        (256, LONG, [claimed[0]]),
        (257, LONG, [claimed[1]]),
        (258, SHORT, [16]),  # BitsPerSample
        (259, SHORT, [1]),  # Compression: none
        (262, SHORT, [32803]),  # PhotometricInterpretation: mosaic
        (277, SHORT, [1]),  # SamplesPerPixel
        (278, LONG, [claimed[1]]),  # RowsPerStrip
        (33421, SHORT, [2, 2]),  # CFARepeatPatternDim
        (33422, BYTE, [0, 1, 1, 2]),  # CFAPattern
        (50717, LONG, [65535]),  # WhiteLevel
    ]
    camera: list[Entry] = [*_CAMERA, (274, SHORT, [orientation])]
    if preview is None:
        return tiff(raw + camera, data)
    raw.append((279, LONG, [len(data)]))  # StripByteCounts
    return _with_preview(raw, camera, data, preview)


def _with_preview(raw: list[Entry], camera: list[Entry], data: bytes, preview: bytes) -> bytes:
    """Return the preview in the first directory, the raw data in a second one, as cameras do it."""
    width, height = Image.open(io.BytesIO(preview)).size
    first: list[Entry] = [
        *camera,
        (254, LONG, [1]),  # NewSubfileType: a smaller one
        (256, LONG, [width]),
        (257, LONG, [height]),
        (258, SHORT, [8, 8, 8]),
        (259, SHORT, [7]),  # Compression: JPEG
        (262, SHORT, [6]),  # PhotometricInterpretation: YCbCr
        (277, SHORT, [3]),
        (278, LONG, [height]),
        (279, LONG, [len(preview)]),
    ]
    placed: list[Entry] = [(273, LONG, [0]), (330, LONG, [0])]
    second = 8 + _length(first + placed)
    at = second + _length([*raw, (273, LONG, [0])])
    placed = [(273, LONG, [at + len(data)]), (330, LONG, [second])]
    return (
        b"II*\0"
        + struct.pack("<I", 8)
        + _directory(first + placed, 8)
        + _directory([*raw, (273, LONG, [at])], second)
        + data
        + preview
    )


def tiff(entries: Sequence[Entry], data: bytes) -> bytes:
    """Return a TIFF of one directory and one strip."""
    strip = [*entries, (279, LONG, [len(data)])]
    at = 8 + _length([*strip, (273, LONG, [0])])
    return b"II*\0" + struct.pack("<I", 8) + _directory([*strip, (273, LONG, [at])], 8) + data


def patches(colours: Sequence[Sequence[tuple[float, float, float]]], side: int = 32) -> NDArray[np.float64]:
    """Return squares of colours, row by row."""
    return np.asarray(colours, dtype=np.float64).repeat(side, axis=0).repeat(side, axis=1)


def _packed(kind: int, values: Sequence[int] | bytes) -> bytes:
    if isinstance(values, bytes):
        return values
    if kind in {RATIONAL, SRATIONAL}:
        return b"".join(struct.pack("<" + _FORMATS[kind], value, 10000) for value in values)
    return struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values)


def _length(entries: Sequence[Entry]) -> int:
    return len(_directory(entries, 0))


def _directory(entries: Sequence[Entry], start: int) -> bytes:
    """Return a TIFF directory that begins at start; what is longer than 4 bytes follows it."""
    later = b""
    rows = b""
    behind = start + 2 + 12 * len(entries) + 4
    for tag, kind, values in sorted(entries):
        body = _packed(kind, values)
        if len(body) > 4:
            place = struct.pack("<I", behind + len(later))
            later += body + bytes(len(body) % 2)
        else:
            place = body.ljust(4, b"\0")
        rows += struct.pack("<HHI", tag, kind, len(values)) + place
    return struct.pack("<H", len(entries)) + rows + bytes(4) + later
