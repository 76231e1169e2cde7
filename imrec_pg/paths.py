"""Paths as raw bytes, and as text for people."""

import os
import sys
import unicodedata

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


def terminal_text(text: str) -> str:
    r"""Return text as one line that does nothing to a terminal, for whatever comes from a database or a file.

    Escape sequences, line breaks, marks that turn the direction of writing (U+202E) and other characters
    without a shape become escapes such as \x1b and \u202e. The two joiners stay: Persian and emoji need them.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _SHAPELESS or character in _JOINERS:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


# Controls, formats, separators of lines and paragraphs.
_SHAPELESS = frozenset({"Cc", "Cf", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"


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
