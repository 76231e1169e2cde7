"""Decode and extract in worker processes: a decoder that crashes or hangs costs one file."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pebble import ProcessExpired

from imrec_pg.errors import DecodeError, ImrecError
from imrec_pg.images.decode import FileContent, Limits
from imrec_pg.ingest.read import Content
from imrec_pg.ingest.workers import Workers
from imrec_pg.paths import display_path
from imrec_pg.records import FailedFile, FeatureTable, FoundFile, StoredImage

if TYPE_CHECKING:
    # Loads OpenCV, imagehash and SciPy, a second of start-up that only the workers need.
    from imrec_pg.extraction import Extracted

# The slowest picture within the limits takes some seconds; a decoder that takes this long hangs.
_TIMEOUT_S = 60
# So many contents wait for a worker at most: enough to keep the workers busy while the model runs.
_WINDOW = 64
# Of large files fewer wait, or 64 scans of 60 MB would take 4 GB.
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
    """Yield every content decoded, in the order in which the workers finish; pass the rest through.

    When stopping() turns true, what still waits for a worker is left to the next run.
    """
    pool: Workers | None = None
    pending: dict[Future[Extracted | DecodeError], Content] = {}
    try:
        for item in contents:
            if stopping():
                return
            if not isinstance(item, Content):
                yield item
                continue
            # Only now: a run that finds nothing new starts no process.
            pool = pool or Workers(workers)
            path = display_path(item.files[0].path)
            arguments = (item.content, path, item.missing, limits)
            pending[pool.schedule(_task, arguments, _TIMEOUT_S)] = item
            while len(pending) >= _WINDOW or _size(pending) > _WINDOW_BYTES:
                yield from _finished(pending)
        while pending and not stopping():
            yield from _finished(pending)
    finally:
        if pool is not None:
            # After an error or Ctrl-C, what waits is not worth waiting for: it is done again next time.
            pool.stop()


def _extract_or_error(
    content: FileContent, path: str, tables: frozenset[FeatureTable], limits: Limits
) -> "Extracted | DecodeError":
    from imrec_pg.extraction import extract  # noqa: PLC0415 - in the worker alone

    try:
        return extract(content, path, tables, limits)
    except DecodeError as error:
        return error


# What the workers run; a test puts a decoder in its place that dies.
_task = _extract_or_error


def _size(pending: dict[Future["Extracted | DecodeError"], Content]) -> int:
    return sum(item.content.size for item in pending.values())


def _finished(pending: dict[Future["Extracted | DecodeError"], Content]) -> Iterator[Decoded | FailedFile]:
    for future in wait(pending, return_when=FIRST_COMPLETED).done:
        item = pending.pop(future)
        result = _result(future)
        if isinstance(result, DecodeError):
            image_id = item.content.image_id
            yield from (FailedFile(file, image_id, result.kind, result.reason) for file in item.files)
        else:
            yield Decoded(result, item.files)


def _result(future: Future["Extracted | DecodeError"]) -> "Extracted | DecodeError":
    try:
        return future.result()
    except BrokenExecutor as error:
        raise ImrecError(
            "the decoder processes did not start: a script that calls ingest needs "
            "if __name__ == '__main__', since they import it"
        ) from error
    except FutureTimeoutError:
        return DecodeError("", "DecoderTimeout", f"decoding took over {_TIMEOUT_S} s and was stopped")
    except ProcessExpired as error:
        return DecodeError("", "DecoderCrashed", f"the decoder process died (exit code {error.exitcode})")
