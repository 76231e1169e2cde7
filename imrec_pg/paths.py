"""Paths as raw bytes, and as text for people."""

import hashlib
import os
import re
import sys
import unicodedata
from uuid import UUID

from imrec_pg.errors import UsageError

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


def absolute(path: str | bytes | os.PathLike[str]) -> bytes:
    """Return an absolute path that leads where the system would go; the file need not be there.

    Links stay as the user spells them, but for one that is followed by "..": the system goes to the parent of
    the folder that it leads to, which is another than the one it lies in. "~" becomes the user's home.

    Raises:
        UsageError: the path is empty, or is relative where the working folder was deleted.
    """
    raw = os.path.expanduser(os.fsencode(path))  # noqa: PTH111 - bytes
    if not raw:
        raise UsageError("a path is empty: name a file or folder")
    if os.name == "nt":  # which drops ".." by the letter, too
        return os.path.abspath(raw)  # noqa: PTH100 - bytes
    if not raw.startswith(b"/"):
        raw = os.path.join(working_folder(), raw)  # noqa: PTH118 - bytes
    found = b"/"
    for part in raw.split(b"/"):
        if part == b"..":
            if os.path.islink(found):  # noqa: PTH114 - bytes
                found = os.path.realpath(found)
            found = os.path.dirname(found)  # noqa: PTH120 - bytes
        elif part not in (b"", b"."):
            found = os.path.join(found, part)  # noqa: PTH118 - bytes
    return found


def working_folder() -> bytes:
    """Return the working folder.

    Raises:
        UsageError: it was deleted.
    """
    try:
        return os.getcwdb()  # noqa: PTH109 - bytes
    except FileNotFoundError as error:
        raise UsageError("the working folder was deleted: change to another one") from error


def absolute_path(path: str | bytes | os.PathLike[str]) -> str:
    """Return what absolute() does, as display_path shows it."""
    return display_path(absolute(path))


def is_text(word: str) -> bool:
    """Return whether a string can be stored: what a shell hands on need not be UTF-8."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_url(path: str | bytes | os.PathLike[str]) -> bool:
    """Return whether a path is rather a URL; pathlib makes one slash of the two."""
    return re.match(rb"[a-z][a-z0-9+.-]+:/", os.fsencode(path), re.IGNORECASE) is not None


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
