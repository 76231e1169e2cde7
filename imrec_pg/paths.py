"""Paths as raw bytes, and as text for people."""

import os


def display_path(path: bytes) -> str:
    r"""Return the path as text that can be stored and printed; bytes that are no UTF-8 appear as \xff."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
