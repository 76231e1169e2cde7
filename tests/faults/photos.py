"""Folders of small photos with every kind of bad file among them."""

import io
import os
import struct
import zlib
from pathlib import Path

from e2e.photos import save_many, scene


def make_folder(folder: Path, photos: int) -> Path:
    """Write that many photos, no two folders the same, and bad files among them; return the folder."""
    save_many(folder / "photos", photos, 64, 48)
    for path in (folder / "photos").iterdir():
        with path.open("ab") as file:
            file.write(bytes(folder))
    bad_files(folder / "bad")
    return folder


def bad_files(folder: Path) -> None:
    """Write one of each: recorded as failed, or passed over by rule."""
    folder.mkdir(parents=True)
    for suffix, name in (("jpg", "JPEG"), ("png", "PNG"), ("gif", "GIF"), ("tif", "TIFF")):
        buffer = io.BytesIO()
        scene(7, 64, 48).save(buffer, name)
        whole = buffer.getvalue()
        (folder / f"cut.{suffix}").write_bytes(whole[: len(whole) // 2])
        (folder / f"beginning.{suffix}").write_bytes(whole[:9])
        if suffix == "png":
            (folder / "a PNG by its content.jpg").write_bytes(whole)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "garbage.jpg").write_bytes(b"no image at all")
    (folder / "zeros.bmp").write_bytes(bytes(5000))
    (folder / "huge.png").write_bytes(_png_header(100_000, 100_000))
    (folder / "large.jpg").write_bytes(b"\xff\xd8\xff" + bytes(1_000_001))
    (folder / "phone.heic").write_bytes(b"\0\0\0\x20ftypheic\0\0\0\0mif1heic")
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden.jpg").write_bytes(b"hidden")
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "dangling.jpg").symlink_to("nowhere")
    closed = folder / "closed.jpg"
    closed.write_bytes(b"\xff\xd8\xff closed")
    closed.chmod(0)  # root may read it: then it is garbage


def _png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
