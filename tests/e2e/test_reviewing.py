"""Reviewing near copies by keyboard, in a terminal of its own."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from e2e.command import PATIENCE_S, Imrec
from e2e.photos import save, scene


class Terminal:
    """imrec-pg in a terminal that knows no pictures; keys go in, what it prints comes out."""

    def __init__(self, run: Imrec, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 1000, 800))
        command = [sys.executable, "-m", "imrec_pg", "duplicates", "review", *arguments]
        self._process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=run.environ, start_new_session=True
        )
        os.close(slave)
        self.shown = self.transcript = b""

    def until(self, text: bytes) -> None:
        """Return when the text comes after what was waited for before."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    read = os.read(self._master, 65536)
                    self.shown += read
                    self.transcript += read
                except OSError:  # the other end is closed
                    break
        assert text in self.shown, self.shown
        self.shown = self.shown[self.shown.index(text) + len(text) :]

    def press(self, keys: str) -> None:
        self.until(b"q quit")
        os.write(self._master, keys.encode())

    def interrupt(self) -> None:
        """Send what Ctrl-C sends in a terminal that controls the process."""
        self.until(b"q quit")
        self._process.send_signal(signal.SIGINT)

    def ended(self) -> int:
        code = self._process.wait(PATIENCE_S)
        os.close(self._master)
        return code


@pytest.fixture
def reviewed(run: Imrec, folder: Path) -> Imrec:
    for seed in range(2):
        photo = scene(seed)
        save(folder / f"{seed}.png", photo)
        for side, name in ((120, "half \x1b[31m"), (100, "small"), (80, "smaller")):
            save(folder / f"{seed} {name}.jpg", photo.resize((side, side * 3 // 4)), quality=90)
    run("ingest", folder, "--no-index")
    run("duplicates", "find")
    return run


def verdicts(run: Imrec) -> list[str]:
    listed = run("psql", "-Atc", "SELECT verdict FROM imrec.duplicate_verdict ORDER BY 1").out
    return listed.split()


def test_pairs_are_judged_by_single_keys_and_do_not_come_back(reviewed: Imrec) -> None:
    terminal = Terminal(reviewed)
    terminal.until(b"1 of 6, group 1")
    # An unknown key is ignored; the last two take back the alternate and say something else instead.
    terminal.press("s")
    terminal.press("a")
    terminal.press("u")
    terminal.press("xd")
    terminal.until(b"different: ")
    terminal.press("n")
    terminal.press("q")
    terminal.until(b"2 pairs judged, 3 left")
    assert b"half \\x1b[31m.jpg" in terminal.transcript
    assert b"half \x1b" not in terminal.transcript
    assert terminal.ended() == 0
    assert verdicts(reviewed) == ["different", "same"]
    again = Terminal(reviewed, "--no-pictures", "--by", "closeness")
    again.until(b"1 of ")
    again.press("S")
    again.interrupt()
    assert again.ended() == 130
    assert "same" in verdicts(reviewed)


def test_review_asks_in_a_terminal_alone(run: Imrec) -> None:
    assert "review asks in a terminal" in run("duplicates", "review", code=2).message
    run("duplicates", "review", "--kind", "exact", code=2)
