"""Ingesters under test, each a process group of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from e2e.command import clean_environ
from faults.ingester import Orders

_ROOT = Path(__file__).parents[2]
_PROGRAM = "from faults.ingester import main; main()"
_ENOUGH_S = 200
"""Nothing here takes as long as this."""


@dataclass(frozen=True)
class Batch:
    """A batch as the log has it: image ids by location id, "" for a failure.

    Attributes:
        done: whether write_batch returned.
        elsewhere: how many rows it left to others.
    """

    rows: dict[str, str]
    done: bool
    elsewhere: int


@dataclass(frozen=True)
class Ingester:
    """A started ingester."""

    orders: Orders
    process: "subprocess.Popen[bytes]"

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def err(self) -> str:
        return Path(f"{self.orders.log}.err").read_text()

    @property
    def acknowledged(self) -> int:
        """How many batches it was told are stored."""
        path = Path(self.orders.log)
        return path.read_bytes().count(b'"state": "done"') if path.exists() else 0

    @property
    def decodes(self) -> list[str]:
        path = Path(f"{self.orders.log}.decodes")
        return path.read_text().splitlines() if path.exists() else []

    @property
    def batches(self) -> list[Batch]:
        return read_log(Path(self.orders.log))

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Return when the condition holds; fail when it ends before."""
        until(lambda: condition() or not self.running, what)
        assert self.running or condition(), f"it ended before {what}: {self.err}"

    def signal(self, number: signal.Signals, *, group: bool) -> None:
        (os.killpg if group else os.kill)(self.process.pid, number)

    def kill(self, *, group: bool) -> None:
        self.signal(signal.SIGKILL, group=group)
        self.process.wait()

    def end(self, code: int = 0) -> dict[str, Any]:
        """Return its counts; it must end with that code."""
        try:
            self.process.wait(_ENOUGH_S)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGABRT, group=False)  # faulthandler says where it stands
            time.sleep(1)
            raise AssertionError(f"hangs: {self.err}") from None
        assert self.process.returncode == code, (self.process.returncode, self.err)
        said = Path(f"{self.orders.log}.out").read_text()
        return json.loads(said) if said else {}


@contextmanager
def started(orders: Orders, *wrapper: str) -> Iterator[Ingester]:
    """Yield a running ingester, which is gone afterwards; a wrapper is a program that runs it."""
    paths = (str(_ROOT), str(_ROOT / "tests"))
    with Path(f"{orders.log}.out").open("wb") as out, Path(f"{orders.log}.err").open("wb") as err:
        process = subprocess.Popen(
            [*wrapper, sys.executable, "-c", _PROGRAM, str(orders)],
            env=clean_environ() | {"PYTHONPATH": os.pathsep.join(paths), "IMREC_FAULTS": orders.log},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    try:
        yield Ingester(orders, process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def read_log(path: Path) -> list[Batch]:
    """Return the batches in order; the last line may be cut off."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    tried: dict[str, Batch] = {}
    for line in map(json.loads, lines):
        tried[line["number"]] = Batch(line["rows"], line["state"] == "done", line["elsewhere"])
    return list(tried.values())


def left_behind(log: Path) -> list[int]:
    """Return the processes of ingesters with this log that are alive."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("IMREC_FAULTS") == str(log):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def until(condition: Callable[[], object], what: str) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + _ENOUGH_S
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.002)
