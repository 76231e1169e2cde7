"""The command as a user runs it: a process of its own, in a clean environment, on one database."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from psycopg.conninfo import conninfo_to_dict
from support import copied_database

_PROGRAM = (sys.executable, "-m", "imrec_pg")
_MARK = "IMREC_TEST_RUN"
# Far beyond what anything here takes, even on a busy machine.
PATIENCE_S = 120

Argument = str | bytes | Path


@dataclass(frozen=True)
class Run:
    """An ended command.

    Attributes:
        arguments: what it was given.
        code: its exit code; negative when a signal ended it.
        raw_out: stdout.
        err: stderr.
    """

    arguments: tuple[Argument, ...]
    code: int
    raw_out: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw_out.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.raw_out)

    @property
    def message(self) -> str:
        """The one line of stderr."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("imrec-pg: "), self.err
        return lines[0]


@dataclass(frozen=True)
class Imrec:
    """Runs imrec-pg.

    Attributes:
        environ: the environment of every run.
        before: words between the program and its arguments, such as --dsn and its value.
        wrapper: a program, and its arguments, that runs imrec-pg.
    """

    environ: dict[str, str]
    before: tuple[str, ...] = ()
    wrapper: tuple[str, ...] = ()

    def on(self, url: str) -> "Imrec":
        """Return the same on another database."""
        return self.with_environ(IMREC_DATABASE_URL=url)

    def with_environ(self, **variables: str) -> "Imrec":
        return replace(self, environ=self.environ | variables)

    def __call__(
        self, *arguments: Argument, code: int = 0, cwd: Path | None = None, text: str | None = None
    ) -> Run:
        """Return the ended command; it must exit with code and show no traceback."""
        ended = self.start(*arguments, cwd=cwd, stdin=subprocess.PIPE).wait(text)
        assert ended.code == code, (ended.code, ended.raw_out[-2000:], ended.err)
        return ended

    def all(self, calls: Sequence[Sequence[Argument]], code: int = 0) -> list[Run]:
        """Return the ended commands; two run at a time."""
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda arguments: self(*arguments, code=code), calls))

    def start(self, *arguments: Argument, cwd: Path | None = None, stdin: int | None = None) -> "Started":
        """Start the command in a process group of its own."""
        mark = uuid4().hex
        process = subprocess.Popen(
            [*self.wrapper, *_PROGRAM, *self.before, *arguments],
            env=self.environ | {_MARK: mark},
            cwd=cwd,
            stdin=stdin if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        started = Started(arguments, process, mark)
        _STARTED.append(started)
        return started


@dataclass(frozen=True)
class Started:
    """A running command."""

    arguments: tuple[Argument, ...]
    process: "subprocess.Popen[bytes]"
    mark: str

    def wait(self, text: str | None = None) -> Run:
        try:
            out, err = self.process.communicate(None if text is None else text.encode(), timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # PYTHONFAULTHANDLER: says where each thread stands
            time.sleep(1)
            os.killpg(self.process.pid, signal.SIGKILL)
            pytest.fail(f"{self.arguments} hangs: {self.process.communicate()[1].decode()}")
        run = Run(self.arguments, self.process.returncode, out, err.decode())
        assert "--debug" in self.arguments or "Traceback" not in run.err, run.err
        return run

    def signal(self, number: signal.Signals, *, group: bool) -> None:
        (os.killpg if group else os.kill)(self.process.pid, number)

    def others(self) -> list[psutil.Process]:
        """Return the processes that it started, whoever their parent is now; the embedded server is none."""
        found = []
        for process in psutil.process_iter():
            try:
                if (
                    process.pid != self.process.pid
                    and process.status() != psutil.STATUS_ZOMBIE
                    and process.environ().get(_MARK) == self.mark
                ):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def until(self, condition: Callable[[], object]) -> None:
        """Return when the condition holds; fail when the command ends before."""
        until(lambda: condition() or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.communicate()


@dataclass(frozen=True)
class Album:
    """Photos stored once for several tests, which change nothing in it, or a copy of its database.

    Attributes:
        folder: where the photos lie.
        images: how many there are, all different.
        run: the command on its database.
        dsn: of that database.
    """

    folder: Path
    images: int
    run: Imrec
    dsn: str


@contextmanager
def copied(album: Album) -> Iterator[Album]:
    """Yield the album in a database of its own; its folder is still that of all."""
    with copied_database(album.dsn) as dsn:
        yield replace(album, run=album.run.on(url_of(dsn)), dsn=dsn)


_STARTED: list[Started] = []


def end_what_runs() -> None:
    """End the commands that a failed test has left, so that the tests after it don't fail as well."""
    while _STARTED:
        process = _STARTED.pop().process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def url_of(dsn: str) -> str:
    """Return the dsn as users write it in a variable."""
    parts = conninfo_to_dict(dsn)
    return f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}&port={parts['port']}"


def until(condition: Callable[[], object], what: str = "") -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.005)


def clean_environ() -> dict[str, str]:
    """Return the environment without what names a database or weights."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "IMREC_")) and name != "DATABASE_URL"
    } | {"PYTHONFAULTHANDLER": "1"}
