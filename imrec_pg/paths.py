"""Paths as raw bytes, and as text for people."""

# A newline would break a one-line message, and an escape sequence would reach the terminal.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def display_path(path: bytes) -> str:
    r"""Return a path as one line of text that Postgres stores and a terminal shows; never raises.

    Bytes that are no UTF-8 and control characters become escapes (\xff, \x0a), so the text may not lead back
    to the file. The result does not depend on the locale, as os.fsdecode's would.
    """
    return path.decode("utf-8", "backslashreplace").translate(_CONTROLS)
