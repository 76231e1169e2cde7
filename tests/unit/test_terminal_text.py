"""Text that does nothing to a terminal."""

import io
import json
import sys
import unicodedata

import pytest

from imrec_pg.cli import common
from imrec_pg.paths import terminal_text


def dangerous(text: str) -> list[str]:
    """Return the characters that a terminal obeys instead of showing them."""
    return [
        c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"} and c not in "\u200c\u200d"
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 写真.jpg", "plain ünïcode 写真.jpg"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("photo\u202egpj.exe", r"photo\u202egpj.exe"),
        ("\u2066a\u2069\u200e\u200f\u061c", r"\u2066a\u2069\u200e\u200f\u061c"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("two\nlines\tand\u2028more", r"two\x0alines\x09and\u2028more"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("👨\u200d👩\u200d👧 \u0645\u06cc\u200c", "👨\u200d👩\u200d👧 \u0645\u06cc\u200c"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert terminal_text(text) == shown


def test_no_character_of_unicode_slips_through() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    assert dangerous(terminal_text(everything)) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_on_a_terminal_is_json_and_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    value = {"path": "写真\x1b[2J\x7f\x9b\u202e\U000e0041.jpg", "n": [1, 2]}
    common.print_json(value)
    text = terminal.getvalue()
    assert json.loads(text) == value
    assert "写真" in text
    assert dangerous(text.replace("\n", "")) == []
