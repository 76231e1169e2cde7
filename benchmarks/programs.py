"""Programs that load a model once and then work on request: a line with words in, a line of JSON out."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from imrec_pg.errors import ImrecError

_REPOSITORY = Path(__file__).resolve().parents[1]


def serve(work: Callable[..., dict[str, Any]]) -> None:
    """Say that the program is ready, then answer each line on stdin, until it ends; work takes its words."""
    _reply({"ready": True})
    for line in sys.stdin:
        _reply(work(*line.rstrip("\n").split("\t")))


def _reply(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Program:
    """A Python module in a process of its own; use it in a with statement.

    Args:
        module: its name, run as with python -m.
        arguments: on its command line.
    """

    def __init__(self, module: str, arguments: Sequence[str] = ()) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Wherever the benchmark was started, its modules are found.
            env=os.environ | {"PYTHONPATH": str(_REPOSITORY)},
            # Ctrl-C is for the benchmark alone, which then ends its programs.
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.terminate()
        # The end of its stdin ends it.
        self._process.communicate()

    @property
    def process(self) -> psutil.Process:
        """The process, to measure it."""
        return psutil.Process(self._process.pid)

    def answer(self) -> dict[str, Any]:
        """Return the next line that it prints, which is JSON.

        Raises:
            ImrecError: it ended instead; what it had to say went to stderr.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ImrecError(f"the benchmark's program {self._module} failed with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, *words: str) -> dict[str, Any]:
        """Return its answer to a line."""
        assert self._process.stdin is not None
        self._process.stdin.write("\t".join(words) + "\n")
        self._process.stdin.flush()
        return self.answer()
