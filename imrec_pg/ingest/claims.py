"""Claim files before working on them, and keep saying that this ingest lives."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

from imrec_pg.catalogue import claims
from imrec_pg.catalogue import files as catalogue_files
from imrec_pg.db.connection import Connection
from imrec_pg.db.retry import RetryingSession
from imrec_pg.errors import DatabaseUnreachableError, ImrecError
from imrec_pg.ingest.find import batched
from imrec_pg.ingest.tally import Tally
from imrec_pg.records import FoundFile, Wanted
from imrec_pg.settings import this_host

logger = logging.getLogger(__name__)
# As many as are read at a time: what is claimed and not yet written is lost to the others for so long.
_GROUP = 64
_LOOK_S = 1.0


class Claims:
    """What this ingest works on and no other one does; use it in a with statement.

    Attributes:
        held: how many files of the last walk others had claimed or have taken over, or must be read again.
    """

    def __init__(self, database: RetryingSession, lease_s: float) -> None:
        self._database = database
        lease = timedelta(seconds=lease_s)
        self._worker = claims.Worker(uuid4(), this_host(), os.getpid(), lease)
        self._renewal = _LeaseRenewal(database, self._worker)
        self._roots: set[UUID] = set()
        self.held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._renewal.is_alive():
            return
        self._renewal.stop()
        if not isinstance(error, DatabaseUnreachableError):
            self._database.run(claims.release, self._worker)

    def claimed(
        self, files: Iterable[FoundFile], wanted: Wanted, tally: Tally, *, retry: bool
    ) -> Iterator[FoundFile]:
        """Yield the files that nobody else works on or has done meanwhile; count the others."""
        for group in batched(files, _GROUP):
            mine = self._claim(group)
            tally.elsewhere += len(group) - len(mine)
            # Since the first question another ingest may have finished some; from now on none does.
            states = self._database.run(catalogue_files.file_states, mine, wanted, retry=retry)
            for file, state in zip(mine, states, strict=True):
                if state in {"unchanged", "failed"}:
                    tally.elsewhere += 1
                else:
                    yield file

    def wait_for_others(self, stopping: Callable[[], bool]) -> None:
        """Return when what others have claimed by now is done, or given back; all work must be written."""
        # Files that were done meanwhile, or vanished: two who waited for each other's would wait for ever.
        self._database.run(claims.give_back, self._worker)
        latest: int | None = None
        while not stopping():
            others = self._database.run(claims.claimed_by_others, self._worker, list(self._roots), latest)
            if not others.files:
                return
            if latest is None:
                what = f"{others.files:,} files that another ingest works on: {others.workers}"
                logger.warning("waiting for %s", what)
            latest = others.token
            time.sleep(_LOOK_S)

    def _claim(self, files: Sequence[FoundFile]) -> list[FoundFile]:
        if not self._renewal.is_alive():
            self._database.run(claims.renew, self._worker, locked=False)
            self._renewal.start()
        tokens = self._database.run(claims.claim, self._worker, files)
        self._roots |= {file.root_id for file in files}
        self.held += len(files) - len(tokens)
        return [replace(file, token=tokens[file.file_id]) for file in files if file.file_id in tokens]


class _LeaseRenewal(threading.Thread):
    """Renews the lease, on a connection of its own: the main one is busy for as long as a batch takes."""

    def __init__(self, database: RetryingSession, worker: claims.Worker) -> None:
        super().__init__(name="imrec-lease", daemon=True)
        self._database = database
        self._worker = worker
        self._ended = threading.Event()

    def stop(self) -> None:
        """Return when it has stopped, or cannot at once."""
        self._ended.set()
        self.join(timeout=1)

    def run(self) -> None:
        """Renew until stopped, three times a lease, so that one attempt may fail."""
        conn: Connection | None = None
        while not self._ended.is_set():
            try:
                if conn is None or conn.closed:
                    conn = self._database.another()
                # Each time, since the connection may be a new one.
                claims.renew(conn, self._worker, locked=claims.lock(conn, self._worker))
            except ImrecError as error:
                # The main connection says so too; a lease that is not renewed ends by itself.
                logger.debug("the lease was not renewed: %s", error)
                if conn is not None:
                    conn.close()
            self._ended.wait(self._worker.lease.total_seconds() / 3)
        if conn is not None:
            conn.close()
