"""The one error hierarchy.

Every error that imrec-pg raises on purpose is an ImrecError: its text is one line that says what is
wrong and how to mend it, and its exit_code is what the command line ends with.
"""

from typing import ClassVar


class ImrecError(Exception):
    """The root of all errors raised on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(ImrecError):
    """The caller asked for something that makes no sense, such as k = 0."""

    exit_code = 2


class InvalidQueryError(UsageError):
    """A search makes no sense, such as a feature and a metric that do not go together."""


class UnknownRootError(UsageError):
    """No root has this name.

    Attributes:
        name: as it was given.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no root {name!r} here")
        self.name = name


class UnknownRoleError(UsageError):
    """No PostgreSQL role has this name.

    Attributes:
        name: as it was given.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no role {name!r} on this server")
        self.name = name


class ImageNotFoundError(UsageError):
    """No image is stored under a path or an id."""


class LibraryInUseError(ImrecError):
    """A library cannot be used from here: a fork of the process that opened it shares its connections."""


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
    """The embedded server was stopped deliberately while it was in use; do not restart it."""


class SchemaError(ImrecError):
    """The database lacks pgvector, or its imrec schema is missing, older or newer than this version."""


class PermissionDeniedError(ImrecError):
    """The database role may not do this."""


class StoreError(ImrecError):
    """The database refused a statement for another reason."""


class ConflictError(StoreError):
    """Another program got in the way; the same again may succeed."""


class ModelMismatchError(ImrecError):
    """The database's embeddings were made by another model or extraction."""


class ExportFileError(ImrecError):
    """A file of an export is missing, broken, or holds what has no place in a library.

    Attributes:
        file: its name within the export.
        reason: one line of explanation.
    """

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


class WeightsError(ImrecError):
    """The model's weights were not found, or are not the ones expected."""


class DecodeError(ImrecError):
    """A file is no image that can be read.

    Attributes:
        path: the file, for display.
        kind: a short stable class of the reason, such as "Truncated" (stored as failure.error_class).
        reason: one line of explanation.
    """

    def __init__(self, path: str, kind: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.kind = kind
        self.reason = reason

    def __reduce__(self) -> tuple[type["DecodeError"], tuple[str, str, str]]:
        """Travel between processes: pickle would otherwise call __init__ with the message alone."""
        return (DecodeError, (self.path, self.kind, self.reason))
