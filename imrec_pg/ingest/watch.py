"""Keep folders in step: the first ingest looks at everything, the next ones at what has changed since."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from watchfiles import watch as watch_files

from imrec_pg.db.session import Session
from imrec_pg.errors import ImrecError, UsageError
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.walk import is_passed_over
from imrec_pg.ingest.find import Scope, check_folders, outermost
from imrec_pg.ingest.pipeline import IngestOptions, IngestResult, ingest_scope
from imrec_pg.paths import display_path, slashed

logger = logging.getLogger(__name__)
# How often to look whether something has been quiet for long enough, in milliseconds.
_TICK_MS = 200
_POLL_MS = 2_000


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How to watch.

    Attributes:
        settle_s: a file is looked at when nothing has changed in it for so long, in seconds; one that is
            still being copied would be read in part.
        rescan_s: after so long everything is looked at again, for what the system did not tell; 0: never.
        polling: ask the file system again and again, where it tells nothing of changes made by another host.
    """

    settle_s: float = 2
    rescan_s: float = 3600
    polling: bool = False


def watch(
    session: Session,
    paths: Sequence[str | bytes],
    embedders: EmbedderSource,
    options: IngestOptions,
    watching: WatchOptions,
    *,
    stopping: Callable[[], bool],
) -> Iterator[IngestResult]:
    """Ingest the folders, then yield what each ingest of changes did, until stopping() turns true.

    A folder without a photo, such as a new inbox, is watched like any other.

    Raises what ingest_scope() raises, and:
        UsageError: a path is no folder, or its name is no UTF-8.
        ImrecError: a folder that is watched is gone, or another one lies there.
    """
    folders = check_folders(paths)
    for folder in folders:
        if not _is_text(folder):
            raise UsageError(f"{display_path(folder)}: a folder whose name is no UTF-8 cannot be watched")
    top, everything = Folders(folders), Scope(tuple(folders), tuple(folders))
    changes = _changes(folders, watching, stopping)
    # From here on changes are noted, also those made while everything is looked at.
    pending = Pending(watching.settle_s)
    pending.add(next(changes, set()))
    yield ingest_scope(session, everything, embedders, options, stopping=stopping)
    looked = time.monotonic()
    for changed in changes:
        pending.add(changed)
        top.check()
        if watching.rescan_s and time.monotonic() - looked > watching.rescan_s:
            pending.clear()
            yield ingest_scope(session, everything, embedders, options, stopping=stopping)
            looked = time.monotonic()
        elif scope := scope_of(pending.settled(), folders, options.exclude):
            yield ingest_scope(session, scope, embedders, options, stopping=stopping)


class Folders:
    """The watched folders as they were at the start."""

    def __init__(self, folders: Sequence[bytes]) -> None:
        self._keys = {folder: _key(folder) for folder in folders}

    def check(self) -> None:
        """Return when all are still there.

        Raises:
            ImrecError: one is gone, or another disk lies there: no change in it would be noticed any more,
                and that its photos are not there says nothing of them.
        """
        for folder, key in self._keys.items():
            if _key(folder) != key:
                raise ImrecError(
                    f"{display_path(folder)} is gone, or another disk lies there: mount it and watch again "
                    "(nothing was marked as missing)"
                )


class Pending:
    """Changed paths, until nothing has changed in them for a while."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._since: dict[str, float] = {}

    def add(self, paths: set[str]) -> None:
        """Note that these have changed just now."""
        now = time.monotonic()
        self._since |= dict.fromkeys(paths, now)

    def settled(self) -> list[str]:
        """Return those in which nothing has changed for long enough, and forget them."""
        until = time.monotonic() - self._settle_s
        settled = sorted(path for path, since in self._since.items() if since <= until)
        for path in settled:
            del self._since[path]
        return settled

    def clear(self) -> None:
        """Forget all of them."""
        self._since.clear()


def scope_of(paths: Sequence[str], folders: Sequence[bytes], exclude: Sequence[str] = ()) -> Scope | None:
    """Return where to look because of changed paths below the watched folders; None for nowhere."""
    found: dict[str, set[bytes]] = {"folders": set(), "files": set(), "vanished": set()}
    for path in paths:
        raw = os.fsencode(path)
        folder = next((f for f in folders if raw == f or raw.startswith(slashed(f))), None)
        if folder is None or (raw != folder and is_passed_over(raw, folder, exclude)):
            continue
        kind = "folders" if os.path.isdir(raw) else "files" if os.path.lexists(raw) else "vanished"  # noqa: PTH112 - bytes
        found[kind].add(raw)
    if not any(found.values()):
        return None
    # What is inside a folder that is walked anyway is not looked at twice.
    walked = outermost(found["folders"])
    below = tuple(slashed(folder) for folder in walked)
    files = sorted(path for path in found["files"] if not path.startswith(below))
    return Scope(tuple(folders), tuple(walked), tuple(files), tuple(sorted(found["vanished"])))


def _is_text(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def _changes(
    folders: Sequence[bytes], watching: WatchOptions, stopping: Callable[[], bool]
) -> Iterator[set[str]]:
    """Yield changed paths, often an empty set, until stopping() turns true."""
    texts = [os.fsdecode(folder) for folder in folders]
    unknown: set[str] = set()
    while not stopping():
        begun = False
        try:
            for changes in watch_files(
                *texts,
                watch_filter=None,
                rust_timeout=_TICK_MS,
                yield_on_timeout=True,
                raise_interrupt=False,
                force_polling=watching.polling,
                poll_delay_ms=_POLL_MS,
                ignore_permission_denied=True,
            ):
                if stopping():
                    return
                changed = {path for _change, path in changes}
                yield unknown | changed
                unknown, begun = set(), True
                if any(map(_is_linked_folder, changed)) and not watching.polling:
                    # The system tells nothing of what it leads to until the watch begins anew; what changes
                    # meanwhile is not told either.
                    unknown = set(texts)
                    break
        except (RuntimeError, OSError) as error:
            if not begun:
                raise ImrecError(
                    f"these folders cannot be watched ({error}): raise fs.inotify.max_user_watches, "
                    "or use --poll"
                ) from error
            # A name that is no UTF-8 ends the watch: the folder it is in is not told, so look everywhere.
            logger.debug("everything is looked at again: %s", error)
            unknown = set(texts)


def _is_linked_folder(path: str) -> bool:
    return os.path.islink(path) and os.path.isdir(path)  # noqa: PTH112, PTH114 - as watchfiles gives it


def _key(folder: bytes) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)  # noqa: PTH116 - bytes
    except OSError:
        return None
    return (status.st_dev, status.st_ino)
