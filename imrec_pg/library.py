"""The Python API: one photo library in one database. The command line uses nothing else."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from imrec_pg.access import grants
from imrec_pg.analysis.placing import place_lacking
from imrec_pg.analysis.reducing import reduce_all
from imrec_pg.catalogue import files as catalogue_files
from imrec_pg.catalogue import index, stored_files, tuning
from imrec_pg.catalogue.claims import Running, running
from imrec_pg.catalogue.images import StoredImages
from imrec_pg.catalogue.missing import MissingFile, Pruned, missing_files, prune
from imrec_pg.catalogue.roots import roots_here
from imrec_pg.catalogue.status import Status, has_embeddings
from imrec_pg.catalogue.status import status as library_status
from imrec_pg.db.connection import Connection
from imrec_pg.db.privileges import is_restricted
from imrec_pg.db.session import open_session
from imrec_pg.db.sessions import Sessions
from imrec_pg.decoding import Decoders
from imrec_pg.errors import ImrecError, UsageError
from imrec_pg.extraction import wanted
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.content import Limits
from imrec_pg.ingest.find import folders_of
from imrec_pg.ingest.pipeline import IngestOptions, IngestResult, ingest
from imrec_pg.ingest.roots import NamedRoots
from imrec_pg.ingest.tally import Tally
from imrec_pg.ingest.workers import check_may_start
from imrec_pg.records import (
    Combine,
    Feature,
    Features,
    Filter,
    Fusion,
    GrantedRole,
    Metric,
    OnProgress,
    chosen,
)
from imrec_pg.search import Answer, FusedAnswer, Query, extract_features, fitting, fuse, ranking, search
from imrec_pg.search.query import KnownImage, known_image, several
from imrec_pg.settings import Settings, this_host

if TYPE_CHECKING:
    from uuid import UUID

    from imrec_pg.analysis.duplicates import (
        DuplicateGroup,
        DuplicateKind,
        FoundDuplicates,
        GivenVerdict,
        Strictness,
        Verdict,
    )
    from imrec_pg.analysis.records import Clustering, MapInfo, MapPoints
    from imrec_pg.analysis.removals import KeepRule, RemovalPlan
    from imrec_pg.analysis.stored import Member
    from imrec_pg.backup.parquet import Exported, Imported
    from imrec_pg.doctor import Finding
    from imrec_pg.ingest.watch import WatchOptions
    from imrec_pg.pictures.shown import ShownMap
    from imrec_pg.projector import ProjectorExport
    from imrec_pg.search.duplicate_tuning import DuplicateTuning

PathLike = str | bytes | os.PathLike[str]
_MAX_WORKERS = 256


class Library:
    """Photos in a database; use it in a with statement, or close it. Threads may share it.

    Each call that runs has a connection of its own. One that was lost, such as by a restart of the server, is
    opened anew, and the call made once more.

    Args:
        settings: which database, which weights.
        device: of the model: "auto", "cpu", "cuda", "cuda:N" or "mps".
        allow_other_weights: take weights other than torchvision's, as another model.

    Raises:
        DatabaseUnreachableError: no server, wrong DSN or password.
        SchemaError: pgvector or the schema is missing or has another version.
    """

    def __init__(
        self, settings: Settings, *, device: str = "auto", allow_other_weights: bool = False
    ) -> None:
        self._embedders = EmbedderSource(settings, device=device, allow_other=allow_other_weights)
        # One image is done on the CPU before a GPU is even found.
        query_device = "cpu" if device == "auto" else device
        self._query_embedders = EmbedderSource(settings, device=query_device, allow_other=allow_other_weights)
        self._decoders = Decoders()
        self._settings = settings
        self._sessions = Sessions(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the decoders; an embedded server goes on running."""
        self._decoders.close()
        self._decoders = Decoders()
        self._sessions.close()

    def ingest(
        self,
        paths: PathLike | Sequence[PathLike] = (),
        *,
        features: Sequence[Feature | str] = tuple(Feature),
        batch: int = 256,
        workers: int | None = None,
        exclude: Sequence[str] = (),
        retry: bool = False,
        refresh: bool = False,
        accept_deletions: bool = False,
        accept_truncated: bool = False,
        retry_for: float = 300,
        on_progress: Callable[[Tally], None] | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> IngestResult:
        """Store all photos below the folders; what is stored and unchanged is left alone.

        Args:
            paths: a folder, or the name of a root, or several; none to try again what failed in the roots that
                were said to lie on this host.
            features: what to compute; the rest can be filled in later.
            batch: rows a transaction.
            workers: decoder processes; None for one a core.
            exclude: patterns of files and folders to leave out, as in .gitignore.
            retry: try files again that failed and have not changed.
            refresh: compute again what an earlier version of the extraction computed.
            accept_deletions: take files for deleted though suddenly most of a folder is gone.
            accept_truncated: store JPEGs whose end is missing, marked as truncated; else they are failures.
            retry_for: how long to retry while the database is away (restarting, its disk full), in seconds.
            on_progress: called with the counts so far, often.
            stopping: when it returns True, what is decoded by then is written, and that was all.

        Raises:
            UsageError: a path is no folder, or a number is out of range.
            ImrecError: the folders hold no photo at all.
            ModelMismatchError: the embeddings here were made by another model.
            WeightsError: the model's weights were not found.
            DatabaseUnreachableError: the database was away for longer than that.
        """
        options = IngestOptions(
            features=tuple(chosen(Feature, name) for name in features),
            batch=batch,
            workers=_checked(workers, batch),
            exclude=_patterns(exclude),
            retry=retry,
            refresh=refresh,
            accept_deletions=accept_deletions,
            limits=Limits(accept_truncated=accept_truncated),
            retry_for_s=retry_for,
        )
        check_may_start()
        folders = self._sessions.run(folders_of, _paths(paths))
        with self._sessions.lent() as session:
            return ingest(
                session, folders, self._embedders, options, on_progress=on_progress, stopping=stopping
            )

    def watch(
        self,
        paths: PathLike | Sequence[PathLike],
        *,
        features: Sequence[Feature | str] = tuple(Feature),
        workers: int | None = None,
        exclude: Sequence[str] = (),
        settle: float = 2,
        rescan: float = 3600,
        polling: bool = False,
        retry_for: float = 300,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Iterator[IngestResult]:
        """Ingest the folders, then yield the result of each ingest of what changed, until stopping.

        Args:
            paths: folders.
            features: what to compute.
            workers: decoder processes; None for one a core.
            exclude: patterns of files and folders to leave out, as in .gitignore.
            settle: look at a file when nothing has changed in it for so many seconds.
            rescan: look at everything again after so many seconds; 0 for never.
            polling: compare again and again, where the system does not tell of changes.
            retry_for: how long to retry while the database is away, in seconds.
            stopping: when it returns True, what is decoded by then is written, and that was all.

        Raises:
            As ingest(), and ImrecError: a folder that is watched is gone.
        """
        from imrec_pg.ingest.watch import WatchOptions

        check_may_start()
        options = IngestOptions(
            features=tuple(chosen(Feature, name) for name in features),
            workers=_checked(workers, 1),
            exclude=_patterns(exclude),
            retry_for_s=retry_for,
        )
        folders = self._sessions.run(folders_of, _paths(paths))
        return self._watched(folders, options, WatchOptions(settle, rescan, polling), stopping)

    def _watched(
        self,
        folders: Sequence[bytes],
        options: IngestOptions,
        watching: "WatchOptions",
        stopping: Callable[[], bool],
    ) -> Iterator[IngestResult]:
        from imrec_pg.ingest.watch import watch

        with self._sessions.lent() as session:
            yield from watch(session, folders, self._embedders, options, watching, stopping=stopping)

    def search(
        self,
        query: Query | Sequence[Query],
        *,
        k: int = 5,
        feature: Feature | str = Feature.EMBEDDING,
        metric: Metric | str | None = None,
        dislikes: Query | Sequence[Query] = (),
        combine: Combine | str = Combine.MEAN,
        exact: bool = False,
        include_self: bool = False,
        explain: bool = False,
        **filter: Unpack[Filter],
    ) -> Answer:
        """Return the k stored photos most like the query, nearest first; fewer only when fewer are stored.

        Args:
            query: an image, or several: a path, the bytes of an image file, a Pillow image, or an array of
                pixels, uint8 (H, W, 3) RGB.
            k: how many photos to return.
            feature: what to compare.
            metric: how; None for the feature's default: cosine, or hamming for hashes.
            dislikes: images that the answer is to be far from.
            combine: how several queries become one ranking: by their mean, or by the nearest of them (min).
            exact: compare with every photo, whatever indexes there are.
            include_self: let the queries themselves appear in the answer.
            explain: return PostgreSQL's plan too, for which the search is carried out once more.
            **filter: which photos may be in the answer: under="/photos/2024", min_width=1920, …; see Filter.

        Raises:
            InvalidQueryError: no query, k out of range, a feature and a metric that do not go together, an
                unknown root or format.
            DecodeError: a query is no image that can be read.
            ModelMismatchError: the embeddings here were made by another model.
        """
        return self._sessions.run(
            search,
            several(query),
            self._decoders,
            self._query_embedders,
            feature=chosen(Feature, feature),
            metric=None if metric is None else chosen(Metric, metric),
            k=k,
            dislikes=several(dislikes),
            combine=chosen(Combine, combine),
            exact=exact,
            include_self=include_self,
            explain=explain,
            filter=filter,
        )

    def fuse(
        self,
        query: Query | Sequence[Query],
        *,
        k: int = 5,
        weights: Mapping[Feature, float] | Mapping[str, float] | None = None,
        fusion: Fusion | str = Fusion.EVIDENCE,
        dislikes: Query | Sequence[Query] = (),
        combine: Combine | str = Combine.MEAN,
        exact: bool = False,
        include_self: bool = False,
        **filter: Unpack[Filter],
    ) -> FusedAnswer:
        """Return the k stored photos most like the query by several features at once.

        Args:
            query: an image, or several, as in search().
            k: how many photos to return.
            weights: how much each feature counts, 0 or more; None for the defaults (docs/quality.md).
            fusion: by evidence, or by reciprocal_rank.
            dislikes: images that the answer is to be far from.
            combine: how several queries become one ranking: by their mean, or by the nearest of them (min).
            exact: compare with every photo, whatever indexes there are.
            include_self: let the queries themselves appear in the answer.
            **filter: which photos may be in the answer; see Filter.

        Raises:
            InvalidQueryError: no query, k out of range, or no feature with a weight above 0.
            DecodeError: a query is no image that can be read.
            ModelMismatchError: the embeddings here were made by another model.
        """
        return self._sessions.run(
            fuse,
            several(query),
            self._decoders,
            self._query_embedders,
            weights=None if weights is None else {chosen(Feature, name): w for name, w in weights.items()},
            fusion=chosen(Fusion, fusion),
            k=k,
            dislikes=several(dislikes),
            combine=chosen(Combine, combine),
            exact=exact,
            include_self=include_self,
            filter=filter,
        )

    def embed(self, query: Query, features: Sequence[Feature | str] = tuple(Feature)) -> Features:
        """Return features of an image, as an ingest would store them; those not asked for are None.

        Raises:
            DecodeError: it is no image that can be read.
            WeightsError: the model's weights were not found.
        """
        return extract_features(
            query, self._decoders, self._query_embedders, [chosen(Feature, name) for name in features]
        )

    def know(self, query: Query, features: Sequence[Feature | str] = tuple(Feature)) -> KnownImage:
        """Return an image with its features, by which it can be searched for again; it is not stored.

        Raises:
            DecodeError: it is no image that can be read.
            ModelMismatchError: the embeddings here were made by another model.
            WeightsError: the model's weights were not found.
        """
        wanted_features = [chosen(Feature, name) for name in features]
        return self._sessions.run(known_image, query, self._decoders, self._query_embedders, wanted_features)

    def features(self) -> list[ranking.KnownFeature]:
        """Return the features, their metrics, and how much each counts in a fusion when nothing is said."""
        return self._sessions.run(ranking.known_features)

    def tune(
        self,
        feature: Feature | str = Feature.EMBEDDING,
        metric: Metric | str = Metric.COSINE,
        *,
        k: int = 10,
        recall: float = 0.99,
        queries: int = 500,
        least: int = tuning.LEAST_EF_SEARCH,
        on_progress: tuning.OnProgress = lambda _step, _done, _total: None,
    ) -> tuning.Tuning:
        """Measure an HNSW index on the user's own images; searches then use the ef_search that reached the recall.

        No ef_search below least is tried.

        Raises:
            UsageError: a number is out of range, no usable index, or too few images.
        """
        return self._sessions.run(
            tuning.tune,
            chosen(Feature, feature),
            chosen(Metric, metric),
            k=k,
            wanted=recall,
            queries=queries,
            least=least,
            on_progress=on_progress,
        )

    def tune_fuse(
        self,
        *,
        photos: int = 100,
        on_progress: tuning.OnProgress = lambda _step, _done, _total: None,
    ) -> fitting.Fitted:
        """Fit the curves of evidence, by which fuse() ranks, on altered copies of some of the photos.

        Raises:
            UsageError: fewer than 10 photos that are stored can be read here.
            ModelMismatchError: the embeddings here were made by another model.
        """
        return self._sessions.run(
            fitting.tune_fuse,
            self._decoders,
            self._query_embedders,
            photos=photos,
            on_progress=on_progress,
        )

    def reset_fuse(self) -> None:
        """Forget the curves that tune_fuse() fitted: those shipped count again."""
        self._sessions.run(fitting.reset)

    def tunings(self) -> list[tuning.Tuning]:
        """Return what was measured of each index."""
        return self._sessions.run(tuning.tunings)

    def grant(
        self, kind: GrantedRole | str, role: str, *, create: bool = False, roots: Sequence[str] = ()
    ) -> None:
        """Let a PostgreSQL role search, or ingest, or do everything; what it had before is replaced.

        With roots, by name, a reader sees the photos of these alone.

        Raises:
            UsageError: there is no such kind or role, and create is False; it is the owner itself; or roots are
                given, and there are none of these names, the role is to do more than read, or it would see
                all photos in another way.
            PermissionDeniedError: only the schema's owner may.
        """
        self._sessions.run(grants.grant, chosen(GrantedRole, kind), role, create=create, roots=roots)

    def revoke(self, role: str) -> None:
        """Take from a PostgreSQL role what grant() gave it, at once, whoever uses the tables.

        Raises:
            UsageError: there is no such role, or it is the owner itself.
            BlockedError: others hold locks that keep some of it from being done; the text says what.
            PermissionDeniedError: only the schema's owner may.
        """
        self._sessions.run(grants.revoke, role)

    def prune(self, older_than: timedelta = timedelta(0), *, dry_run: bool = False) -> Pruned:
        """Forget files that have been missing for so long, and images that no other file holds.

        dry_run only counts them.
        """
        return self._sessions.run(prune, older_than, dry_run=dry_run)

    @property
    def images(self) -> StoredImages:
        """What is stored of images, where their files lie on this host, and what they can be filtered by."""
        return StoredImages(self._sessions.run, this_host())

    @property
    def roots(self) -> NamedRoots:
        """The named folders that hold the photos, and where they lie on this host."""
        return NamedRoots(self._sessions.run, this_host())

    def export(
        self, folder: PathLike, *, overwrite: bool = False, on_progress: OnProgress | None = None
    ) -> "Exported":
        """Write the catalogue and all features into a new folder, as Parquet, as they are at this moment.

        Args:
            folder: does not exist yet, or is empty. It appears when all is written, readable by this user
                alone.
            overwrite: replace an export that is there.
            on_progress: what to tell; see OnProgress.

        Raises:
            OutputExistsError: the folder holds an export.
            UsageError: it holds something else, or cannot be made.
            ImrecError: pyarrow is not installed, the disk is full, or the like.
        """
        with _pyarrow_needed():
            from imrec_pg.backup.parquet import export_library
        return self._sessions.run(export_library, _path(folder), overwrite=overwrite, on_progress=on_progress)

    def export_projector(
        self,
        folder: PathLike,
        *,
        feature: Feature | str = Feature.EMBEDDING,
        sample: int | None = None,
        tiles: bool = False,
        seed: int = 42,
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
    ) -> "ProjectorExport":
        """Write files for TensorBoard's projector into a new folder: a feature, its map, metadata, thumbnails.

        Args:
            folder: does not exist yet, or is empty. It appears when all is written, readable by this user alone.
            feature: embedding or histogram.
            sample: how many photos at most, of each cluster with tiles; None for 100,000, the projector's limit.
                Clusters, or else folders, keep their shares of it.
            tiles: write a folder for each cluster.
            seed: the same one gives the same sample and order.
            overwrite: replace such files that are there.
            on_progress: what to tell; see OnProgress.

        Raises:
            OutputExistsError: the folder holds such files.
            NoClustersError: tiles, and there are no clusters.
            UsageError: the folder holds something else, or cannot be made, or a number is out of range.
            ImrecError: no photo has the feature, the disk is full, or the like.
        """
        from imrec_pg.projector import MAX_PHOTOS, Choice, export_projector

        choice = Choice(chosen(Feature, feature), MAX_PHOTOS if sample is None else sample, tiles, seed)
        return export_projector(
            self._connection,
            this_host(),
            _path(folder),
            choice,
            overwrite=overwrite,
            on_progress=on_progress,
        )

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._sessions.lent() as session:
            yield session.conn

    def import_(
        self, folder: PathLike, *, replace: bool = False, on_progress: OnProgress | None = None
    ) -> "Imported":
        """Store what an export holds and this library has not; doing it again changes nothing.

        All files are checked before anything is stored.

        Args:
            folder: as export() made it.
            replace: where this library says otherwise, the export is right; else the library is.
            on_progress: what to tell; see OnProgress.

        Raises:
            ExportFileError: a file is missing or broken, or holds what has no place in a library.
            SchemaError: the export is of a newer imrec-pg.
            ModelMismatchError: the embeddings here were made by another model.
            ImrecError: pyarrow is not installed.
        """
        with _pyarrow_needed():
            from imrec_pg.backup.parquet import import_library
        imported = self._sessions.run(import_library, _path(folder), replace=replace, on_progress=on_progress)
        from imrec_pg.analysis.duplicates import add_lacking

        self._sessions.run(place_lacking)
        self._sessions.run(add_lacking)
        return imported

    def dump(self, file: PathLike, *, overwrite: bool = False, force: bool = False) -> None:
        """Write the whole database into one file, which imrec_pg.restore reads; it appears at the end.

        Args:
            file: readable by this user alone.
            overwrite: replace the dump of a library that is there.
            force: replace any other file as well, unless it is a stored photo.

        Raises:
            OutputExistsError: the file is a dump of a library.
            FileInTheWayError: it is another file.
            KeptFileError: it is a stored photo.
            UsageError: its folder does not exist.
            ImrecError: there is no pg_dump for this server, or it failed.
        """
        from imrec_pg.backup.dump import dump

        dump(self._settings, _path(file), overwrite=overwrite, force=force)

    def status(self) -> Status:
        """Return counts, sizes and versions."""
        return self._sessions.run(library_status, this_host(), wanted())

    def running(self) -> list[Running]:
        """Return the ingests at work, the longest at it first; none to a reader of some roots."""
        return self._sessions.run(lambda conn: [] if is_restricted(conn) else running(conn))

    def doctor(self, *, full: bool = False) -> "list[Finding]":
        """Return what is well and what is not in this database, each finding with what mends it.

        imrec_pg.doctor.examine() does the same where no library can be opened: the schema is missing,
        old, or closed to the role.

        Args:
            full: look at all rows; else at a sample of large tables.
        """
        from imrec_pg import doctor

        return doctor.examine(self._settings, full=full)

    def has_embeddings(self) -> bool:
        """Return whether any embedding is stored."""
        return self._sessions.run(has_embeddings)

    def holds(self, path: PathLike) -> bool:
        """Return whether a file is a stored photo, or one that could not be read.

        It is known by its path on this host, through links as well, and by its content.
        """
        return self._sessions.run(
            lambda conn: stored_files.holds(conn, roots_here(conn, this_host()), _path(path))
        )

    def failures(self) -> list[catalogue_files.Failure]:
        """Return the files that could not be read, by path."""
        return self._sessions.run(lambda conn: catalogue_files.failures(conn, roots_here(conn, this_host())))

    def missing(self) -> list[MissingFile]:
        """Return the files that were not there any more when ingest last looked, the first ones first."""
        return self._sessions.run(lambda conn: missing_files(conn, roots_here(conn, this_host())))

    def indexes(self) -> list[index.IndexState]:
        """Return every (feature, metric) pair with its index, if it has one."""
        return self._sessions.run(index.index_states)

    def build_index(
        self,
        feature: Feature | str = Feature.EMBEDDING,
        metric: Metric | str = Metric.COSINE,
        *,
        on_progress: Callable[[str, int, int], None] | None = None,
    ) -> bool:
        """Build the HNSW index of a pair without blocking writers; False when it was there already.

        on_progress gets the phase, and how much of it is done, of how much.

        Raises:
            UsageError: the pair is always searched exactly.
        """
        feature, metric = chosen(Feature, feature), chosen(Metric, metric)
        if on_progress is None:
            return self._sessions.run(index.build_index, feature, metric)
        with (
            self._sessions.lent() as session,
            open_session(self._settings) as watcher,
            index.watched(watcher, session.conn, on_progress),
        ):
            return index.build_index(session.conn, feature, metric)

    def reduce_vectors(self, *, on_progress: OnProgress = lambda _step, _done, _total: None) -> list[Feature]:
        """Reduce vectors to few dimensions, by which exact searches compare few in full; return of which features.

        Done for 5,000 photos and more, and again when there are twice as many. New photos are reduced as they
        are stored. Searches are exact with and without; those meanwhile compare with all photos.
        """
        return self._sessions.run(reduce_all, on_progress)

    def drop_index(self, feature: Feature | str, metric: Metric | str) -> bool:
        """Drop the index of a pair; False when there was none.

        Raises:
            UsageError: the pair is always searched exactly.
        """
        return self._sessions.run(index.drop_index, chosen(Feature, feature), chosen(Metric, metric))

    def clusters(
        self, feature: Feature | str = Feature.EMBEDDING, *, on_map: int | None = None
    ) -> "Clustering":
        """Return the clusters found by a feature, or on its map of 2 or 3 dimensions.

        Raises:
            NoClustersError: none were made yet.
        """
        from imrec_pg.analysis import stored

        found = self._sessions.run(stored.clusters, chosen(Feature, feature), on_map)

        def html() -> str:
            from imrec_pg.pictures.notebook import clusters_html

            members = self.members(found, 1)
            paths = [next((m.path for m in members.get(one.cluster, ())), None) for one in found.clusters]
            return clusters_html(found, paths)

        return replace(found, html=html)

    def medoids(self, clustering: "Clustering") -> "dict[UUID, str]":
        """Return the path of the most typical photo of each cluster by its id; none of one that is gone."""
        from imrec_pg.analysis import stored

        return self._sessions.run(stored.medoid_paths, clustering)

    def map_dims(self, feature: Feature | str, dims: int | None = None) -> int:
        """Return of how many dimensions the map by a feature is: the larger where there are two.

        Raises:
            NoMapError: there is none, or none of so many.
        """
        from imrec_pg.analysis import stored

        return self._sessions.run(stored.map_info, chosen(Feature, feature), dims).dims

    def find_duplicates(
        self,
        strictness: "Strictness | str | None" = None,
        *,
        crops: bool = False,
        on_progress: OnProgress | None = None,
    ) -> "FoundDuplicates":
        """Look for near copies in the whole library; from then on, ingests look for those of new photos.

        Args:
            strictness: how alike two images must be: "strict", "normal" or "loose"; None for what
                tune_duplicates() chose, or else normal.
            crops: also compare each image with the ten nearest by embedding, which takes much longer.
            on_progress: what to tell; see OnProgress.

        Raises:
            InvalidQueryError: there is no such strictness.
            PermissionDeniedError: the role may only search.
        """
        from imrec_pg.analysis import duplicates
        from imrec_pg.analysis.checks import nothing

        return self._sessions.run(
            duplicates.find,
            None if strictness is None else chosen(duplicates.Strictness, strictness),
            crops=crops,
            on_progress=on_progress or nothing,
        )

    def tune_duplicates(
        self,
        *,
        photos: int = 100,
        precision: float = 0.99,
        on_progress: tuning.OnProgress = lambda _step, _done, _total: None,
    ) -> "DuplicateTuning":
        """Measure on altered copies of so many photos what each strictness finds; find_duplicates() goes by the best.

        Args:
            photos: how many photos copies are made of.
            precision: which share of what is found has to be right.
            on_progress: called with the step, and how much of how much of it is done.

        Raises:
            UsageError: a number is out of range, or fewer than 10 photos that are stored can be read here.
            ModelMismatchError: the embeddings here were made by another model.
        """
        from imrec_pg.search.duplicate_tuning import tune_duplicates

        return self._sessions.run(
            tune_duplicates,
            self._decoders,
            self._query_embedders,
            photos=photos,
            precision=precision,
            on_progress=on_progress,
        )

    def duplicates(self, kind: "DuplicateKind | str | None" = None) -> "list[DuplicateGroup]":
        """Return the groups of duplicates, those first that take most space; the photo to keep is first in each.

        Args:
            kind: "exact", "copy" or "burst"; None for all of them.
        """
        from imrec_pg.analysis import duplicates

        wanted_kind = None if kind is None else chosen(duplicates.DuplicateKind, kind)
        return self._sessions.run(
            lambda conn: duplicates.groups(conn, wanted_kind, roots_here(conn, this_host()))
        )

    def plan_removal(
        self,
        kinds: "Sequence[DuplicateKind | str]" = ("copy", "exact"),
        *,
        keep: "Sequence[KeepRule | str]" = (),
        prefer: Sequence[PathLike] = (),
        trash: PathLike | None = None,
    ) -> "RemovalPlan":
        """Return which files of duplicates could go, and which stays for each; nothing is changed.

        Args:
            kinds: "copy", "exact" and "burst", or some of them.
            keep: rules in their order, by which one file of a group stays: "resolution", "format" (a camera raw,
                then HEIC), "date" (one with a date by EXIF), "bytes", "oldest". Where they leave it open, the
                group's keeper stays.
            prefer: folders whose files stay before all others, the first one first.
            trash: a folder into which a script is to move files; it is refused where ingest would find them again.

        Raises:
            InvalidQueryError: there is no such kind or rule.
            UsageError: the trash lies in a root.
        """
        from imrec_pg.analysis import duplicates, removals
        from imrec_pg.paths import absolute

        wanted_kinds = [chosen(duplicates.DuplicateKind, kind) for kind in kinds]
        rules = [chosen(removals.KeepRule, rule) for rule in keep]
        folders = [absolute(folder) for folder in prefer]

        def plan(conn: Connection) -> "RemovalPlan":
            here = roots_here(conn, this_host())
            if trash is not None:
                removals.check_trash(absolute(trash), here)
            return removals.plan(conn, wanted_kinds, rules, folders, here)

        return self._sessions.run(plan)

    def set_verdict(
        self, photo: "PathLike | UUID", other: "PathLike | UUID", verdict: "Verdict | str | None"
    ) -> "Verdict | None":
        """Say what two photos are to each other; return what was said before, by which this can be undone.

        Args:
            photo: a stored file, or the id of an image, which need not be stored.
            other: likewise.
            verdict: "same", "alternate" (an edit worth keeping) or "different"; None to forget what was said.

        Raises:
            InvalidQueryError: a file is not stored, both hold the same bytes, or there is no such verdict.
        """
        from imrec_pg.analysis import duplicates

        said = None if verdict is None else chosen(duplicates.Verdict, verdict)

        def say(conn: Connection) -> "Verdict | None":
            here = roots_here(conn, this_host())
            one, two = (duplicates.name_of(here, each) for each in (photo, other))
            return duplicates.set_verdict(conn, one, two, said)

        return self._sessions.run(say)

    def verdicts(self) -> "list[GivenVerdict]":
        """Return what people said of pairs of images, the last first."""
        from imrec_pg.analysis import duplicates

        return self._sessions.run(duplicates.verdicts)

    def clusterings(self) -> "list[Clustering]":
        """Return all clusters that were made: by each feature, and on each map."""
        from imrec_pg.analysis import stored

        return self._sessions.run(stored.clusterings)

    def build_clusters(
        self,
        feature: Feature | str = Feature.EMBEDDING,
        *,
        k: int | str = "auto",
        on_map: int | None = None,
        seed: int = 42,
        on_progress: OnProgress = lambda _step, _done, _total: None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> "UUID":
        """Put all photos into clusters of alike ones, in place of those that there were; return the id.

        Args:
            feature: embedding or histogram.
            k: how many clusters, or "auto": as many as the elbow of the curve says.
            on_map: 2 or 3: cluster the points of that map instead.
            seed: the same one gives the same clusters of the same photos.
            on_progress: what to tell; see OnProgress.
            on_wait: called once while another session makes clusters by this feature.

        Raises:
            UsageError: a number is out of range, or there is nothing to cluster.
            PermissionDeniedError: only the schema's owner may.
            ImrecError: the extra [map] is not installed.
        """
        from imrec_pg.analysis import clusters

        by = chosen(Feature, feature)
        if on_map is None:
            return self._sessions.run(clusters.build, by, k, seed, on_progress, on_wait)
        return self._sessions.run(clusters.build_on_map, by, on_map, k, seed, on_progress, on_wait)

    def drop_clusters(self, feature: Feature | str = Feature.EMBEDDING, *, on_map: int | None = None) -> bool:
        """Forget the clusters by a feature, or on its map; False when there were none."""
        from imrec_pg.analysis import stored

        return self._sessions.run(stored.drop_clusters, chosen(Feature, feature), on_map)

    def map(self, feature: Feature | str = Feature.EMBEDDING, *, dims: int | None = None) -> "MapPoints":
        """Return the map by a feature: where each photo lies, and in which clusters it is.

        Args:
            feature: embedding or histogram.
            dims: 2 or 3; None for the one that there is, of three dimensions rather than two.

        Raises:
            NoMapError: there is none.
        """
        from imrec_pg.analysis import stored

        by = chosen(Feature, feature)
        points = self._sessions.run(stored.map_points, by, dims)

        def html() -> str:
            from imrec_pg.pictures.notebook import map_html

            return map_html(self.shown_map(by, dims=points.info.dims))

        return replace(points, html=html)

    def maps(self) -> "list[MapInfo]":
        """Return the maps that there are, with how good and how old they are."""
        from imrec_pg.analysis import stored

        return self._sessions.run(stored.maps)

    def build_map(
        self,
        feature: Feature | str = Feature.EMBEDDING,
        *,
        dims: int = 3,
        neighbours: int = 15,
        min_dist: float = 0.1,
        seed: int = 42,
        on_progress: OnProgress = lambda _step, _done, _total: None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> "UUID":
        """Put all photos on a map, in place of the one that there was; return the id.

        Args:
            feature: embedding or histogram.
            dims: 2 or 3.
            neighbours: how many a photo is to lie near to: few show detail, many the whole.
            min_dist: how close photos may lie, 0 to 1.
            seed: the same one gives the same map of the same photos on the same machine.
            on_progress: what to tell; see OnProgress.
            on_wait: called once while another session makes a map by this feature.

        Raises:
            UsageError: a number is out of range, or there is no photo.
            PermissionDeniedError: only the schema's owner may.
            ImrecError: the extra [map] is not installed, or UMAP failed.
        """
        from imrec_pg.analysis import maps
        from imrec_pg.analysis.layout import Shape

        shape = Shape(dims, neighbours, min_dist, seed)
        return self._sessions.run(maps.build, chosen(Feature, feature), shape, on_progress, on_wait)

    def drop_map(self, feature: Feature | str = Feature.EMBEDDING, *, dims: int) -> bool:
        """Forget a map, and the clusters found on it; False when there was none."""
        from imrec_pg.analysis import stored

        return self._sessions.run(stored.drop_map, chosen(Feature, feature), dims)

    def shown_map(self, feature: Feature | str = Feature.EMBEDDING, *, dims: int | None = None) -> "ShownMap":
        """Return the map by a feature with the paths and years of its photos, as pictures of it need them.

        Raises:
            NoMapError: there is none.
        """
        from imrec_pg.analysis import stored
        from imrec_pg.pictures.shown import shown_map

        by = chosen(Feature, feature)

        def read(conn: Connection) -> "ShownMap":
            points = stored.map_points(conn, by, dims)
            return shown_map(conn, points, stored.clusterings(conn), roots_here(conn, this_host()))

        return self._sessions.run(read)

    def members(self, clustering: "Clustering", most: int) -> "dict[int, list[Member]]":
        """Return of each cluster the photos nearest to its centre, at most so many."""
        from imrec_pg.analysis import stored

        return self._sessions.run(
            lambda conn: stored.members(conn, clustering, most, roots_here(conn, this_host()))
        )


def _checked(workers: int | None, batch: int) -> int:
    workers = workers if workers is not None else (os.cpu_count() or 1)
    if not 1 <= workers <= _MAX_WORKERS or batch < 1:
        raise UsageError(f"the batch is 1 row or more, and the workers are 1 to {_MAX_WORKERS}")
    return workers


def _patterns(exclude: Sequence[str]) -> tuple[str, ...]:
    if isinstance(exclude, str) or not all(isinstance(p, str) and p.strip() for p in exclude):
        raise UsageError("exclude is a list of patterns, each a word such as '*.gif' or 'cache/'")
    return tuple(exclude)


@contextmanager
def _pyarrow_needed() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise ImrecError("Parquet needs pyarrow, an extra: pip install 'imrec-pg[parquet]'") from error


def _paths(paths: PathLike | Sequence[PathLike]) -> list[bytes]:
    if isinstance(paths, (str, bytes, os.PathLike)):
        return [os.fsencode(paths)]
    return [os.fsencode(path) for path in paths]


def _path(path: PathLike) -> Path:
    return Path(os.fsdecode(path))
