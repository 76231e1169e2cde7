"""All errors that imrec-pg raises on purpose.

ImrecError
├── UsageError                  wrong arguments
│   ├── UnknownRootError        name
│   ├── RootExistsError         name
│   ├── FolderNotFoundError     path
│   ├── UnknownRoleError        name
│   ├── ImageNotFoundError      image
│   ├── OutputExistsError       path
│   ├── FileInTheWayError       path
│   ├── KeptFileError           path, reason
│   ├── NoIndexError            feature, metric
│   ├── NoClustersError         feature, on_map
│   └── NoMapError              feature, dims
├── NoWorkersError
├── DatabaseUnreachableError
│   └── EmbeddedServerError
│       └── ServerStoppedError  data_dir
├── SchemaError
├── PermissionDeniedError
├── StoreError
│   └── ConflictError
│       └── BlockedError        blockers
├── ModelMismatchError
├── ExportFileError             file, reason
├── WeightsError
│   └── OtherModelWeightsError  path, sha256
└── DecodeError                 path, kind, reason

The text of an error is one line: what is wrong, and how to fix it. It speaks of the library, not of the
command line, which adds its own hints (imrec_pg.cli.hints).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar


class ImrecError(Exception):
    """The base class.

    Attributes:
        exit_code: the exit code of the command line.
    """

    exit_code: ClassVar[int] = 1


class UsageError(ImrecError):
    """An argument makes no sense, such as k = 0."""

    exit_code = 2


class UnknownRootError(UsageError):
    """The library has no root of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no root {name}: add it, or use the name of one that is there")
        self.name = name


class RootExistsError(UsageError):
    """The library has a root of this name already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a root {name} already: choose another name")
        self.name = name


class FolderNotFoundError(UsageError):
    """A folder does not exist, or its disk is not mounted.

    Attributes:
        path: the folder, for display.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} does not exist: check the spelling, or mount it")
        self.path = path


class UnknownRoleError(UsageError):
    """The server has no role of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no role {name!r} here: create it first (CREATE ROLE)")
        self.name = name


class ImageNotFoundError(UsageError):
    """No image is stored under a path or an id."""


class NoIndexError(UsageError):
    """The feature and metric have no index that can be used."""

    def __init__(self, feature: str, metric: str) -> None:
        super().__init__(f"{feature} {metric} has no usable index: build it first")
        self.feature = feature
        self.metric = metric


class NoClustersError(UsageError):
    """No clusters were made by the feature, or none on its map."""

    def __init__(self, feature: str, on_map: int | None = None) -> None:
        where = "" if on_map is None else f" on its map of {on_map} dimensions"
        super().__init__(f"there are no clusters by {feature}{where}: make them first")
        self.feature = feature
        self.on_map = on_map


class NoMapError(UsageError):
    """There is no map by the feature, or none of so many dimensions."""

    def __init__(self, feature: str, dims: int | None = None) -> None:
        kind = "" if dims is None else f" of {dims} dimensions"
        super().__init__(f"there is no map{kind} by {feature}: build it first")
        self.feature = feature
        self.dims = dims


class OutputExistsError(UsageError):
    """Imrec-pg wrote something earlier under the name that was given for a new file or folder.

    Attributes:
        path: for display.
    """

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path} holds {what} already: choose another name")
        self.path = path


class FileInTheWayError(UsageError):
    """A file has the name that was given for a new one, and imrec-pg did not write it.

    Attributes:
        path: for display.
    """

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path} exists, and is not {what} that imrec-pg wrote: choose another name")
        self.path = path


class KeptFileError(UsageError):
    """A file that is never replaced has the name that was given for a new one.

    Attributes:
        path: for display.
        reason: what the file is: "a query", "a stored photo".
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} is {reason}, and those are never replaced: choose another name")
        self.path = path
        self.reason = reason


class InvalidQueryError(UsageError):
    """A search makes no sense, such as a feature and a metric that do not go together."""


class LibraryInUseError(ImrecError):
    """A library cannot be used from here: a fork of the process that opened it shares its connections."""


class NoWorkersError(ImrecError):
    """Photos are decoded in processes of their own, and this process may not start any."""


class DatabaseUnreachableError(ImrecError):
    """No connection to the database, or none of use at the moment, such as while its disk is full.

    The same call may succeed later, except for the subclasses that say otherwise.

    Attributes:
        problem: what is wrong, without the advice that str() appends.
    """

    exit_code = 4

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(f"{problem}: {advice}" if advice else problem)
        self.problem = problem


class LoginRefusedError(DatabaseUnreachableError):
    """The server is there, but does not let this role into this database; waiting does not help."""


class EmbeddedServerError(DatabaseUnreachableError):
    """The embedded server could not be set up, started or stopped."""


class ServerStoppedError(EmbeddedServerError):
    """Somebody stopped the embedded server while it was in use; it is not restarted."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(
            f"the server in {data_dir} was stopped while in use: what was acknowledged is stored; try again"
        )
        self.data_dir = data_dir


class SchemaError(ImrecError):
    """The database lacks pgvector, or its imrec schema is missing, older or newer than this version."""


class PermissionDeniedError(ImrecError):
    """The database role may not do this."""


class StoreError(ImrecError):
    """The database refused a statement for another reason."""


class ConflictError(StoreError):
    """Another program was in the way; a retry may succeed."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that holds a lock for which others wait.

    Attributes:
        pid: its process on the server; 0 for a prepared transaction.
        role: None for a process of the server itself.
        application: as the session calls itself.
        since: when its transaction began; None where the server does not tell this role.
    """

    pid: int
    role: str | None
    application: str
    since: datetime | None

    def __str__(self) -> str:
        if not self.pid:
            return "a prepared transaction (pg_prepared_xacts)"
        known = [f"role {self.role!r}"] if self.role is not None else []
        known += [f"application {self.application!r}"] if self.application else []
        known += [f"in a transaction since {self.since:%Y-%m-%d %H:%M:%S %Z}"] if self.since else []
        return f"process {self.pid} ({', '.join(known)})" if known else f"process {self.pid}"


class BlockedError(ConflictError):
    """Other sessions held locks for too long.

    Attributes:
        blockers: those that were seen; none if no second connection could be had to look.
    """

    def __init__(self, blockers: Sequence[Blocker], consequence: str = "nothing has changed") -> None:
        who = ", ".join(map(str, blockers)) or "unknown (pg_locks shows them)"
        super().__init__(
            f"{consequence}: other sessions hold locks that are needed here, {who}; try again when they have "
            "ended, or end them with pg_terminate_backend(process)"
        )
        self.blockers = tuple(blockers)


class ModelMismatchError(ImrecError):
    """Another model, or another version of the extraction, made the embeddings in the database."""


class ExportFileError(ImrecError):
    """A file of an export is missing or broken, or holds data that cannot be imported.

    Attributes:
        file: its name within the export.
        reason: one line.
    """

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


class WeightsError(ImrecError):
    """The model's weights were not found, or are not the ones expected."""


class OtherModelWeightsError(WeightsError):
    """A file is not one of torchvision's ResNet-18 that is known, and was not parsed.

    Attributes:
        sha256: the digest of the file, in hex.
    """

    def __init__(self, path: Path, sha256: str, known: Sequence[str]) -> None:
        super().__init__(
            f"{path} is no known file of torchvision's ResNet-18 (SHA-256 {sha256[:16]}, not "
            f"{' or '.join(one[:16] for one in known)}) and may hold another model: other weights must be "
            "allowed, and need a database of their own"
        )
        self.path = path
        self.sha256 = sha256


class DecodeError(ImrecError):
    """A file is not an image that can be read.

    Attributes:
        path: the file, for display.
        kind: a short, stable name for the reason, such as "Truncated" (stored as failure.error_class).
        reason: one line.
    """

    def __init__(self, path: str, kind: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.kind = kind
        self.reason = reason

    def __reduce__(self) -> tuple[type["DecodeError"], tuple[str, str, str]]:
        """Travel between processes: pickle would otherwise call __init__ with the message alone."""
        return (DecodeError, (self.path, self.kind, self.reason))
