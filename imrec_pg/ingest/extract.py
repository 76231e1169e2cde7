"""Decode and extract in worker processes, so that a decoder that crashes or hangs costs one file."""

import logging
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from imrec_pg import decoding
from imrec_pg.bounded.limits import ProcessLimits
from imrec_pg.errors import DecodeError, ImrecError
from imrec_pg.images.content import Limits
from imrec_pg.ingest.read import Content
from imrec_pg.paths import display_path
from imrec_pg.records import FailedFile, FoundFile, StoredImage

if TYPE_CHECKING:
    # Loads OpenCV, imagehash and SciPy: a second of start-up that only the workers need.
    from imrec_pg.extraction import Extracted
    from imrec_pg.ingest.workers import Workers  # with Pebble, which only who ingests needs

logger = logging.getLogger(__name__)

# How often in a row all processes may die without a single result.
_DEATHS = 3
# How many contents may wait for a worker: enough to keep the workers busy while the model runs.
_WINDOW = 64
# Fewer if they are large, else 64 scans of 60 MB would take 4 GB.
_WINDOW_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Decoded:
    """An extracted image and the files that hold it."""

    extracted: "Extracted"
    files: tuple[FoundFile, ...]


def decode_all(
    contents: Iterable[Content | StoredImage | FailedFile],
    *,
    workers: int,
    limits: Limits,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Decoded | StoredImage | FailedFile]:
    """Yield every content decoded, in the order in which the workers finish; pass other items through.

    Once stopping() returns True, contents that still wait for a worker are left to the next run.
    """
    decoding = _Decoding(workers, limits)
    try:
        for item in contents:
            if stopping():
                return
            if not isinstance(item, Content):
                yield item
                continue
            decoding.add(item)
            while decoding.full:
                yield from decoding.finished()
        while decoding.pending and not stopping():
            yield from decoding.finished()
    finally:
        # After an error or Ctrl-C, don't wait for the rest: the next run does it.
        decoding.stop()


class _Decoding:
    """The contents that the workers have.

    If a worker dies, Pebble reports it for the file that the worker had. But if all die while idle, or one
    while it takes its next file, the whole pool breaks; then everything that waits goes to a new pool.
    """

    def __init__(self, workers: int, limits: Limits) -> None:
        self.pending: dict[Future[Extracted | DecodeError], Content] = {}
        self._number = workers
        self._limits = limits
        self._pool: Workers | None = None
        self._has_worked = False
        self._deaths = 0
        # These get a retry: when memory runs out, the kernel may kill a worker that used little of it.
        self._killed: set[UUID] = set()

    @property
    def full(self) -> bool:
        """Whether enough contents wait for the workers."""
        size = sum(item.content.size for item in self.pending.values())
        return len(self.pending) >= _WINDOW or size > _WINDOW_BYTES

    def add(self, item: Content) -> None:
        """Queue one more content."""
        try:
            self._schedule(item)
        except BrokenExecutor as error:
            self._restart([item], error)

    def finished(self) -> Iterator[Decoded | FailedFile]:
        """Wait for at least one result, and yield it; yield none if the workers had to be restarted."""
        again: list[Content] = []
        for future in wait(self.pending, return_when=FIRST_COMPLETED).done:
            try:
                result = _result(future)
            except BrokenExecutor as error:
                self._restart(again, error)
                return
            item = self.pending.pop(future)
            self._has_worked = True
            self._deaths = 0
            if result is None:
                if item.content.image_id not in self._killed:
                    self._killed.add(item.content.image_id)
                    again.append(item)
                    continue
                result = decoding.killed()
            if isinstance(result, DecodeError):
                image_id = item.content.image_id
                yield from (FailedFile(file, image_id, result.kind, result.reason) for file in item.files)
            else:
                yield Decoded(result, item.files)
        for item in again:
            self.add(item)

    def stop(self) -> None:
        """End the processes; drop the contents that wait."""
        if self._pool is not None:
            self._pool.stop()
            self._pool = None

    def _schedule(self, item: Content) -> None:
        from imrec_pg.ingest.workers import Workers

        # Only now: a run that finds nothing new starts no process.
        self._pool = self._pool or Workers(self._number, _task)
        path = display_path(item.files[0].path)
        # What is stored was accepted when it was stored.
        limits = replace(self._limits, accept_truncated=self._limits.accept_truncated or item.known)
        arguments = (item.content, path, item.lacking, limits)
        future = self._pool.schedule(
            _task, arguments, ProcessLimits(decoding.MEMORY, decoding.CPU_S), decoding.TIMEOUT_S
        )
        self.pending[future] = item

    def _restart(self, more: list[Content], cause: BrokenExecutor) -> None:
        if not self._has_worked:
            raise ImrecError(
                "the decoder processes did not start: they import the script that calls ingest, so it needs "
                "if __name__ == '__main__'"
            ) from cause
        self._deaths += 1
        if self._deaths > _DEATHS:
            raise ImrecError(
                "the decoder processes keep dying: check whether memory runs out, and try fewer workers"
            ) from cause
        logger.warning("the decoder processes died while idle; starting new ones")
        lost = [*self.pending.values(), *more]
        self.pending.clear()
        self.stop()
        for item in lost:
            self.add(item)


# What the workers run; a test replaces it by a decoder that dies.
_task = decoding.extract_or_error


def _result(future: Future["Extracted | DecodeError"]) -> "Extracted | DecodeError | None":
    """Return the result for a content; None if something outside killed its process."""
    from pebble import ProcessExpired

    try:
        return future.result()
    except FutureTimeoutError:
        return decoding.timed_out()
    except ProcessExpired as error:
        if error.exitcode == -signal.SIGKILL:
            return None
        if error.exitcode == -signal.SIGXCPU:
            return decoding.computed_too_long()
        return decoding.crashed(error.exitcode)
