"""What is no picture, or no whole one, becomes a DecodeError of the right kind."""

import struct
import subprocess
import sys
import zlib

import pytest
from PIL import ExifTags, Image, features
from support_images import decoded, failure, noise, png_chunk, saved

from imrec_pg.errors import DecodeError
from imrec_pg.images import decode_errors, decoders
from imrec_pg.images.content import MAX_PIXELS, Limits
from imrec_pg.images.decode_errors import memory_is_short


def bomb(width: int, height: int) -> bytes:
    """A PNG of some 60 bytes that claims any size."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(b"\0"))


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"hello, I was renamed to .jpg", b"%PDF-1.7", b"<svg/>", bytes(1000)]
)
def test_what_is_no_image_is_named_so(data: bytes) -> None:
    assert failure(data, "a.jpg").kind == "NotAnImage"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\x0a\xfa\x7f", "JPEG XL"),
    ],
)
def test_known_formats_that_are_not_read_say_what_to_do(data: bytes, name: str) -> None:
    error = failure(data, "wrongly_named.jpg")
    assert error.kind == "UnsupportedFormat"
    assert error.reason == f"imrec-pg does not read {name} images yet; convert them to JPEG"


HEIF = "HEIC images need pillow-heif: pip install 'imrec-pg[heif]'"
AVIF = "AVIF images need a Pillow with AVIF: pip install --force-reinstall pillow"


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", HEIF),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", HEIF),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", AVIF),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", AVIF),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "camera raws (CR3) need rawpy: pip install 'imrec-pg[raw]'"),
        (b"II*\0\x10\0\0\0CR\2\0", "camera raws (CR2) need rawpy: pip install 'imrec-pg[raw]'"),
        (b"FUJIFILMCCD-RAW 0201", "camera raws (RAF) need rawpy: pip install 'imrec-pg[raw]'"),
    ],
)
def test_without_its_decoder_a_format_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, data: bytes, advice: str
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "rawpy", None)
    monkeypatch.setattr(features, "check", lambda _name: False)
    error = failure(data, "wrongly_named.jpg")
    assert error.kind == "DecoderMissing"
    assert error.reason == f"{advice}, then retry"


def test_a_decoder_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_data: bytes) -> None:
        raise ImportError("libheif.so: cannot open shared object file")

    monkeypatch.setattr(decoders, "open_heic", broken)
    monkeypatch.setattr(decoders, "find_spec", lambda _name: True)
    error = failure(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert (error.kind, "libheif.so" in error.reason) == ("DecoderMissing", True)


def test_common_formats_load_no_other_decoder() -> None:
    program = (
        "import io, sys; from PIL import Image; from imrec_pg.images.content import *; "
        "from imrec_pg.images.decode import *; b = io.BytesIO(); "
        "Image.new('RGB', (9, 9)).save(b, 'JPEG'); d = b.getvalue(); "
        "decode(FileContent(d, len(d), 0, image_id_of(d)), 'a.jpg'); "
        "print({'pillow_heif', 'rawpy', 'PIL._avif'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout == "set()\n"


def test_video_is_not_taken_for_heic() -> None:
    assert failure(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a.jpg").kind == "NotAnImage"


def test_name_decides_where_the_content_says_nothing() -> None:
    """TGA has no signature."""
    assert decoded(saved(noise(), "TGA"), "a.TGA").info.format == "TGA"
    assert failure(saved(noise(), "TGA"), "a.xpm").kind == "UnsupportedFormat"


def test_jpeg_called_heic_is_read() -> None:
    assert decoded(saved(noise(), "JPEG"), "IMG_1.HEIC").info.format == "JPEG"


def test_camera_raw_that_looks_like_tiff_is_not_taken_for_its_thumbnail() -> None:
    data = saved(noise(), "TIFF")
    assert decoded(data, "a.tif").info.format == "TIFF"
    pytest.importorskip("rawpy")
    error = failure(data, "a.NEF")
    assert (error.kind, error.reason) == ("UnsupportedFormat", "LibRaw finds no raw data that it can read")


def test_camera_raw_under_a_tiff_s_name_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    dng = saved(noise(), "TIFF", tiffinfo={ExifTags.Base.DNGVersion: b"\1\4\0\0"})
    assert failure(dng, "a.tif").kind == "DecoderMissing"
    nef = saved(noise(), "TIFF", tiffinfo={ExifTags.Base.NewSubfileType: 1, ExifTags.Base.SubIFDs: 8})
    assert failure(nef, "a.tif").kind == "DecoderMissing"
    thumbnail = saved(noise(), "TIFF", tiffinfo={ExifTags.Base.NewSubfileType: 1})
    assert decoded(thumbnail, "a.tif").info.format == "TIFF"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_every_way_to_cut_a_file_short_is_a_failure_or_the_whole_picture(kind: str) -> None:
    data = saved(noise(16, 12), kind)
    whole = decoded(data).pixels.tobytes()
    for length in range(30, len(data)):
        try:
            assert decoded(data[:length]).pixels.tobytes() == whole
        except DecodeError as error:
            assert error.kind == "Truncated"  # noqa: PT017 - a file without its last padding may decode


def test_truncated_jpeg_says_so() -> None:
    data = saved(noise(), "JPEG")
    error = failure(data[: len(data) // 2])
    assert error.kind == "Truncated"
    assert "truncated" in error.reason


def test_broken_data_are_corrupt() -> None:
    data = saved(noise(), "PNG")
    body = data.index(b"IDAT") + 4
    error = failure(data[:body] + b"\xff\xff\xff\xff" + data[body + 4 :])
    assert error.kind == "Corrupt"
    assert error.__cause__ is not None


def test_broken_header_names_the_format() -> None:
    error = failure(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", bytes(13)) + png_chunk(b"IEND", b""))
    assert error.kind == "Corrupt"
    assert "PNG" in error.reason


def test_bmp_variant_that_pillow_lacks_is_unsupported() -> None:
    data = bytearray(saved(noise(), "BMP"))
    data[28:30] = struct.pack("<H", 7)  # bits a pixel
    error = failure(bytes(data))
    assert (error.kind, error.reason) == ("UnsupportedFormat", "Unsupported BMP pixel depth (7)")


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        ((100_000, 100_000), "TooManyPixels"),
        ((14_143, 14_143), "TooManyPixels"),  # 200,024,449
        ((16_320, 12_240), "Truncated"),  # the largest phone pictures pass the limit
    ],
)
def test_decompression_bomb_is_refused_by_its_header(size: tuple[int, int], kind: str) -> None:
    assert failure(bomb(*size)).kind == kind
    assert MAX_PIXELS == 200_000_000


def test_webp_of_any_size_is_refused_by_its_header() -> None:
    """Its decoder takes 8 bytes a pixel before anybody can ask how large the picture is."""
    canvas = b"\0\0\0\0" + (2**24 - 1).to_bytes(3, "little") + (200).to_bytes(3, "little")
    data = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + canvas
    error = failure(data)
    assert (error.kind, error.reason) == (
        "TooManyPixels",
        "16777216 x 201 pixels, more than the limit of 200,000,000",
    )


def test_broken_data_are_put_down_to_memory_where_it_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """libjpeg names no reason."""
    data = saved(noise(), "JPEG")
    asked: list[int] = []

    def is_short(pixels: int) -> bool:
        asked.append(pixels)
        return True

    monkeypatch.setattr(decode_errors, "memory_is_short", is_short)
    error = failure(data[: len(data) // 2])
    assert error.kind == "OutOfMemory"
    assert asked == [40 * 30]
    assert failure(b"no image").kind == "NotAnImage"


def test_memory_is_short_of_what_no_machine_has() -> None:
    assert not memory_is_short(0)
    assert not memory_is_short(1)
    assert memory_is_short(2**58)
    assert memory_is_short(2**62)


def test_own_pixel_limit_is_inclusive() -> None:
    data = saved(Image.new("RGB", (3, 2)), "PNG")
    assert decoded(data, limits=Limits(max_pixels=6)).info.width == 3
    error = failure(data, limits=Limits(max_pixels=5))
    assert (error.kind, error.reason) == ("TooManyPixels", "3 x 2 pixels, more than the limit of 5")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError("image file is truncated (3 bytes not processed)"), "Truncated"),
        (OSError("broken data stream"), "Corrupt"),
        (OSError("decoder error -2"), "Corrupt"),
        (SyntaxError("x"), "Corrupt"),
        (ValueError("x"), "Corrupt"),
        (MemoryError(), "OutOfMemory"),
        (NotImplementedError("x"), "UnsupportedFormat"),
        (OverflowError("x"), "Corrupt"),
        (Image.DecompressionBombError("x"), "TooManyPixels"),
        (struct.error("x"), "Corrupt"),
        (KeyError("x"), "Corrupt"),
        (IndexError("x"), "Corrupt"),
        (TypeError("x"), "Corrupt"),
        (EOFError(), "Corrupt"),
        (zlib.error("x"), "Corrupt"),
        (RecursionError("x"), "Corrupt"),
        (AssertionError(), "Corrupt"),
    ],
)
def test_whatever_a_decoder_raises_costs_one_file(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str
) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise error

    monkeypatch.setattr("imrec_pg.images.decode.Image.open", broken)
    caught = failure(saved(Image.new("RGB", (1, 1)), "JPEG"))
    assert caught.kind == kind
    assert caught.reason


def test_interrupt_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("imrec_pg.images.decode.Image.open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        decoded(b"GIF89a")


def test_reason_is_one_short_line_that_postgres_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise ValueError("first\nsecond\0\t\udcff\x1b[31m " + "x" * 1000)

    monkeypatch.setattr("imrec_pg.images.decode.Image.open", broken)
    reason = failure(b"GIF89a;").reason
    assert reason.startswith("first second [31m xxx")
    assert len(reason) == 500
