"""Paths as raw bytes, and as text for people."""

import hashlib
import os
import sys
import unicodedata
from uuid import UUID

# A newline would break a one-line message, and an escape sequence would reach the terminal.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def display_path(path: bytes) -> str:
    r"""Return a path as one line of text that Postgres can store and a terminal can show; never raises.

    Invalid UTF-8 and control characters become escapes (\xff, \x0a), so the text may not lead back to the
    file. Unlike os.fsdecode's, the result does not depend on the locale.
    """
    return path.decode("utf-8", "backslashreplace").translate(_CONTROLS)


def absolute_path(path: str | bytes | os.PathLike[str]) -> str:
    """Return an absolute path as display_path shows it; the file need not be there, and links stay."""
    return display_path(os.path.abspath(os.fsencode(path)))  # noqa: PTH100 - bytes


def slashed(folder: bytes) -> bytes:
    """Return a folder as the prefix of the paths below it; "/" stays "/"."""
    return folder if folder.endswith(b"/") else folder + b"/"


def stored_path(relative: bytes, platform: str = sys.platform, separator: str = os.sep) -> bytes:
    """Return a path below a root as it is stored: the same for the same file on every host.

    Only two systems change bytes. On macOS, whose file systems treat both spellings of an accented letter as
    equal and may list the decomposed one, they become NFC, as with git's core.precomposeunicode. On Windows
    the separator becomes "/".
    """
    if platform == "darwin":
        try:
            relative = unicodedata.normalize("NFC", relative.decode()).encode()
        except UnicodeDecodeError:
            return relative
    return relative if separator == "/" else relative.replace(os.fsencode(separator), b"/")


def file_id(root_id: UUID, relative_path: bytes) -> UUID:
    """Return the id of a file: known before any insert, and the same on every host."""
    return UUID(bytes=hashlib.sha256(root_id.bytes + relative_path).digest()[:16])
