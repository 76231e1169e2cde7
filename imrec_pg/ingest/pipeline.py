"""The whole way: find → read → decode and extract → embed → write, each batch one transaction."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from imrec_pg.analysis import duplicates
from imrec_pg.analysis.placing import Placer, place_lacking
from imrec_pg.catalogue import files as catalogue_files
from imrec_pg.catalogue.model import claim_model
from imrec_pg.db.retry import RetryingSession
from imrec_pg.db.session import Session
from imrec_pg.errors import ImrecError, PermissionDeniedError
from imrec_pg.extraction import wanted
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.content import DEFAULT_LIMITS, Limits
from imrec_pg.images.walk import count
from imrec_pg.ingest import find
from imrec_pg.ingest.claims import Claims
from imrec_pg.ingest.extract import Decoded, decode_all
from imrec_pg.ingest.missing import NO_CHANGES, Changes, Seen, find_missing, mark_moved
from imrec_pg.ingest.read import read_contents
from imrec_pg.ingest.tally import Tally
from imrec_pg.ingest.write import write_batch
from imrec_pg.paths import display_path
from imrec_pg.records import FailedFile, Feature, FloatRow, FoundFile, StoredImage, Wanted

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How to ingest.

    Attributes:
        features: what to compute; the rest can be filled in later.
        batch: rows a transaction, and images a step of the model at most.
        workers: decoder processes.
        refresh: compute again what an earlier version of the extraction computed.
        exclude: patterns of what is left out (images.exclude).
        retry: whether to try files again that failed and have not changed.
        accept_deletions: take files for deleted though suddenly most of a folder is gone.
        limits: of file size and pixels.
        retry_for_s: how long to retry while the database is away, in seconds.
        lease_s: after so many seconds without a sign of life another ingest takes over.
    """

    features: tuple[Feature, ...] = tuple(Feature)
    refresh: bool = False
    batch: int = 256
    workers: int = 2
    exclude: tuple[str, ...] = ()
    retry: bool = False
    accept_deletions: bool = False
    limits: Limits = DEFAULT_LIMITS
    retry_for_s: float = 300
    lease_s: float = 60

    @property
    def wanted(self) -> Wanted:
        """What is computed, by the present versions of the extraction."""
        return wanted(self.features, refresh=self.refresh)


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What an ingest did; see Tally for the counts.

    Attributes:
        changes: files that are gone, or back.
    """

    tally: Tally
    seconds: float
    interrupted: bool
    changes: Changes = NO_CHANGES


def ingest(
    session: Session,
    paths: Sequence[str | bytes],
    embedders: EmbedderSource,
    options: IngestOptions,
    *,
    on_progress: Callable[[Tally], None] | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> IngestResult:
    """Store all photos below the folders; without folders, try again what failed in this host's roots.

    Any number of these may run at once, on any number of hosts: each file is claimed by one of them. It
    returns when every file is stored or recorded as failed, by whichever. Files that are not there any more
    are marked as missing, their features are kept.

    When stopping() turns true, what is decoded by then is written, then it ends.

    Raises:
        UsageError: a path is no folder.
        ImrecError: the folders hold no photo at all, though some were known perhaps.
        ModelMismatchError: the embeddings here were made by another model.
        WeightsError: the model's weights were not found.
        DatabaseUnreachableError: the database was away for longer than options.retry_for_s.
    """
    named = tuple(find.named_folders(paths))
    folders = tuple(find.outermost(named))
    scope = find.Scope(named, folders)
    if not folders:
        options = replace(options, retry=True)
    result = ingest_scope(session, scope, embedders, options, on_progress=on_progress, stopping=stopping)
    if not result.interrupted:
        # What an ingest stored that was killed before it placed it, or while a map was made.
        database = RetryingSession(session, options.retry_for_s, stopping)
        database.run(place_lacking)
        with suppress(PermissionDeniedError):  # said when the photos were stored
            database.run(duplicates.add_lacking)
    if folders and not result.interrupted and not result.tally.found:
        _check_empty(folders, result.tally, result.changes)
    return result


def ingest_scope(
    session: Session,
    scope: find.Scope,
    embedders: EmbedderSource,
    options: IngestOptions,
    *,
    on_progress: Callable[[Tally], None] | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> IngestResult:
    """Do as ingest() does, but also for single files, and without an error where there is no photo."""
    started = time.monotonic()
    tally, seen = Tally(on_progress=on_progress), Seen()
    database = RetryingSession(session, options.retry_for_s, stopping)
    with Claims(database, options.lease_s) as claims:
        run = _Run(database, claims, embedders, options, stopping, scope.top)
        roots = find.Roots(database, scope.top)
        run.work(_files(database, roots, scope, tally, seen, options.exclude), tally, retry=options.retry)
        while claims.held and not stopping():
            # Those are done by now, or their ingest is dead or was stopped, or a batch dropped an image that
            # a file of the next one was known to hold: another walk tells.
            claims.held = 0
            claims.wait_for_others(stopping)
            again = Tally()
            # What failed just now is not tried once more.
            run.work(_files(database, roots, scope, again, Seen(), options.exclude), again, retry=False)
            tally.add_work_of(again)
    interrupted = stopping()
    changes = replace(NO_CHANGES, gone=run.moved)
    if scope and not interrupted:
        # Of a walk that was cut short, nothing follows.
        single = {roots.place_of(path): path for path in scope.files + scope.vanished}
        folders = scope.folders + scope.vanished
        changes = find_missing(
            database, folders, single, seen, named=scope.top, accept=options.accept_deletions
        )
        changes = replace(changes, gone=changes.gone + run.moved)
    return IngestResult(tally, time.monotonic() - started, interrupted, changes)


class _Run:
    """From files to rows.

    Attributes:
        moved: files elsewhere that are marked as missing, since their images were met in other files.
    """

    def __init__(
        self,
        database: RetryingSession,
        claims: Claims,
        embedders: EmbedderSource,
        options: IngestOptions,
        stopping: Callable[[], bool],
        walked: Sequence[bytes],
    ) -> None:
        self._walked = walked
        self.moved = 0
        self._database = database
        self._claims = claims
        self._embedders = embedders
        self._options = options
        self._stopping = stopping
        self._rows = options.batch
        self._placer = Placer()
        self._denied = False

    def work(self, files: Iterable[FoundFile], tally: Tally, *, retry: bool) -> None:
        """Store what is new of the files, or record why that failed; return when all is written."""
        options, database = self._options, self._database
        to_do = find.files_to_do(database, files, options.wanted, tally, retry=retry)
        mine = self._claims.claimed(_until(self._stopping, to_do), options.wanted, tally, retry=retry)
        contents = read_contents(database, mine, options.wanted, options.limits)
        decoded = decode_all(
            contents, workers=options.workers, limits=options.limits, stopping=self._stopping
        )
        for batch in find.batched(self._embedded(decoded), options.batch):
            self._write(batch, tally)

    def _embedded(
        self, items: Iterable[Decoded | StoredImage | FailedFile]
    ) -> Iterator[StoredImage | FailedFile]:
        """Yield what can be written. The decoders work on while the model runs, a small batch at a time."""
        for group in find.batched(items, min(self._embedders.batch, self._options.batch)):
            yield from (item for item in group if not isinstance(item, Decoded))
            decoded = [item for item in group if isinstance(item, Decoded)]
            crops = [item.extracted.crop for item in decoded if item.extracted.crop is not None]
            rows: Iterator[FloatRow] = iter(())
            if crops:
                self._database.run(claim_model, self._embedders.identity)
                rows = iter(self._embedders.embed(crops))
            for item in decoded:
                info, features = item.extracted.info, item.extracted.features
                if item.extracted.crop is not None:
                    features = replace(features, embedding=next(rows))
                yield StoredImage(info.image_id, info, item.files, features)

    def _write(self, batch: Sequence[StoredImage | FailedFile], tally: Tally) -> None:
        for part in find.batched(batch, self._rows):
            images = [item for item in part if isinstance(item, StoredImage)]
            failed = [item for item in part if isinstance(item, FailedFile)]
            merged = self._database.run(write_batch, images, failed)
            if merged.rows < len(part):
                # What the server's time limit allows; else each batch would meet it again.
                self._rows = merged.rows
            self._place(images)
            self._look_up(images)
            self.moved += mark_moved(self._database, images, self._walked)
            files = sum(len(image.files) for image in images)
            tally.new += merged.new
            tally.duplicates += merged.duplicates
            tally.replaced += merged.replaced
            elsewhere = merged.elsewhere + merged.gone
            if elsewhere:
                self._claims.held += self._undone(part)
            tally.elsewhere += elsewhere
            refused = merged.refused
            tally.completed += max(0, files - merged.new - merged.duplicates - elsewhere - refused)
            tally.failed += len(failed) + refused
            tally.written += files + len(failed) - elsewhere
            tally.report()

    def _place(self, images: Sequence[StoredImage]) -> None:
        """Put what is new into the clusters and on the maps that there are."""
        new = {
            feature: [image.image_id for image in images if image.features.get(feature) is not None]
            for feature in self._options.features
        }
        self._database.run(self._placer.place, new)

    def _look_up(self, images: Sequence[StoredImage]) -> None:
        """Look for near copies of what is new, where the library was searched for them."""
        new = [image.image_id for image in images if image.features.difference_hash is not None]
        if self._denied or not new:
            return
        try:
            self._database.run(duplicates.add, new)
        except PermissionDeniedError as error:
            # A role that somebody has put together by hand. The photos are stored, which matters more.
            self._denied = True
            logger.warning("near copies of new photos are not looked for: %s", error)

    def _undone(self, batch: Sequence[StoredImage | FailedFile]) -> int:
        """Return how many of the files whoever took them over has still to do, or are to be read again."""
        files = [file for item in batch for file in item.files]
        states = self._database.run(catalogue_files.file_states, files, self._options.wanted, retry=False)
        return sum(state not in {"unchanged", "failed"} for state in states)


def _check_empty(folders: Sequence[bytes], tally: Tally, changes: Changes) -> None:
    """Return when folders without photos are what the user says that they are.

    Raises:
        ImrecError: otherwise.
    """
    names = ", ".join(display_path(folder) for folder in folders)
    if changes.doubts:
        doubted = ", ".join(display_path(doubt.folder) for doubt in changes.doubts)
        raise ImrecError(
            f"no photos in {doubted}, where {changes.doubted:,} are known: mount the disk, or if they are "
            "deleted, say ingest --accept-deletions"
        )
    if not changes.gone:
        raise ImrecError(
            f"no photos in {names} ({tally.ignored} other files, {tally.unreadable} unreadable folders): "
            "imrec-pg reads JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC, camera raws and others"
        )


def _files(
    database: RetryingSession,
    roots: find.Roots,
    scope: find.Scope,
    tally: Tally,
    seen: Seen,
    exclude: Sequence[str],
) -> Iterator[FoundFile]:
    def on_error(path: bytes, error: OSError) -> None:
        tally.unreadable += 1
        logger.warning("%s: %s", display_path(path), error.strerror or error)

    if not scope:
        yield from find.failed_files(database, tally)
        return
    if tally.on_progress is not None:
        # Beside the work: names alone are listed fast, and the walk finds them in the cache.
        threading.Thread(target=_count, args=(scope, tally, exclude), name="imrec-count", daemon=True).start()
    yield from find.walk_files(roots, scope.folders, tally, on_error, seen.add, exclude, scope.walked_from)
    yield from find.single_files(roots, scope.files, tally, on_error, seen.add)


def _count(scope: find.Scope, tally: Tally, exclude: Sequence[str]) -> None:
    tops = scope.walked_from
    tally.total = len(scope.files) + sum(count(folder, exclude, tops) for folder in scope.folders)


def _until(stopping: Callable[[], bool], files: Iterable[FoundFile]) -> Iterator[FoundFile]:
    for file in files:
        if stopping():
            return
        yield file
