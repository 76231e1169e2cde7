"""The server's folders: created private, and refused if they belong to someone else."""

import errno
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from imrec_pg.embedded.account import Account
from imrec_pg.embedded.binaries import MAJOR_VERSION
from imrec_pg.errors import EmbeddedServerError

PORT = 5432  # names the socket; nothing listens on TCP
SOCKET_NAME = f".s.PGSQL.{PORT}"
# sun_path has room for 107 bytes on Linux and 103 on macOS; one rule for both affects few folders.
_SOCKET_PATH_LIMIT = 103
_RUNTIME_DIR_AS_ROOT = Path("/run/imrec-pg")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is in a data folder.

    Attributes:
        data_dir: absolute, links resolved.
    """

    data_dir: Path

    @property
    def cluster(self) -> Path:
        """The PostgreSQL data folder."""
        return self.data_dir / f"pg{MAJOR_VERSION}"

    @property
    def unfinished(self) -> Path:
        """Where initdb works; renamed at the end, so that a killed initdb leaves no half cluster."""
        return self.data_dir / f"pg{MAJOR_VERSION}.unfinished"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.data_dir / "server.log"

    @property
    def old_log(self) -> Path:
        """The previous log."""
        return self.data_dir / "server.log.1"

    @property
    def start_lock(self) -> Path:
        """Held while somebody starts or stops the server."""
        return self.data_dir / "start.lock"

    @property
    def use_lock(self) -> Path:
        """Held by the server's processes as long as they run."""
        return self.data_dir / "use.lock"

    @property
    def tag(self) -> str:
        """A name for this folder: short, printable, and the same for every spelling of the path."""
        return hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]

    @property
    def own_names(self) -> frozenset[str]:
        """The names that we use in the data folder."""
        ours = (self.cluster, self.unfinished, self.log, self.old_log, self.start_lock, self.use_lock)
        return frozenset(path.name for path in ours) | {"run"}

    def socket_dir(self) -> Path:
        """Return the socket folder for a server started now; nothing is created.

        Raises:
            EmbeddedServerError: every candidate's path is too long.
        """
        for folder in (self.data_dir / "run", *(base / self.tag for base in _runtime_dirs())):
            name = str(folder / SOCKET_NAME)
            # A comma separates folders in the server's setting and hosts in the client's.
            if len(os.fsencode(name)) <= _SOCKET_PATH_LIMIT and name.isprintable() and "," not in name:
                return folder
        raise EmbeddedServerError(
            f"no folder for the server's socket has a path under {_SOCKET_PATH_LIMIT} bytes: "
            "set TMPDIR to a shorter path, or choose a data folder with one"
        )


def prepare_data_dir(layout: Layout, account: Account) -> None:
    """Create the data folder, or check that it belongs to the account and holds nothing foreign.

    Raises:
        EmbeddedServerError: it belongs to someone else, holds something else, or cannot be reached.
    """
    data_dir = layout.data_dir
    _make_parents(data_dir.parent, account)
    for parent in reversed(data_dir.parents):
        if not account.can_enter(parent):
            raise EmbeddedServerError(
                f"the server's user {account.name} may not enter {parent}: "
                "choose a data folder under /var/lib/imrec-pg, or run imrec-pg as a normal user"
            )
    with _existing_or_new(data_dir) as folder:
        names = set(os.listdir(folder))  # noqa: PTH208 - pathlib lists no descriptors
        _refuse_foreign(layout, names)
        found = os.fstat(folder)
        if account.switch and found.st_uid == 0 and not names:
            os.fchown(folder, account.uid, account.gid)
            found = os.fstat(folder)
    if found.st_uid != account.uid:
        raise EmbeddedServerError(
            f"{data_dir} belongs to {_user_name(found.st_uid)}, not {account.name}: "
            "run imrec-pg as its owner, or choose another data folder"
        )
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise EmbeddedServerError(
            f"other users may write to {data_dir}: chmod 700 it, or choose another data folder"
        )


def make_private_dir(folder: Path, account: Account) -> None:
    """Create the folder, or check that it belongs to the account and is closed to everyone else.

    The server trusts whoever reaches its socket, so the folder around it is the only protection.

    Raises:
        EmbeddedServerError: it is something else.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    else:
        if account.switch:
            os.chown(folder, account.uid, account.gid, follow_symlinks=False)
    check_private_dir(folder, account.uid)


def check_private_dir(folder: Path, uid: int) -> None:
    """Check that this is a folder, not a link, owned by this user and with mode 0700.

    Raises:
        EmbeddedServerError: it is not.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        wrong = "is not a folder"
    elif found.st_uid != uid:
        wrong = f"belongs to {_user_name(found.st_uid)}"
    elif stat.S_IMODE(found.st_mode) != 0o700:  # noqa: PLR2004 - clearest as a literal
        wrong = f"has mode {stat.S_IMODE(found.st_mode):04o} instead of 0700"
    else:
        return
    raise EmbeddedServerError(f"{folder}, for the server's socket, {wrong}: remove it and try again")


@contextmanager
def os_errors_explained(data_dir: Path) -> Iterator[None]:
    """Turn errors of the operating system into errors that name the fix."""
    try:
        yield
    except OSError as error:
        where = error.filename or data_dir
        raise EmbeddedServerError(f"{where}: {error.strerror or error}: {_fix(error.errno)}") from error


def _fix(number: int | None) -> str:
    match number:
        case errno.ENOSPC | errno.EDQUOT:
            return "free some space, or choose a data folder on another disk"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "run imrec-pg as the folder's owner, or choose another data folder"
        case errno.ENOLCK | errno.EOPNOTSUPP:
            return "its file system has no locks; choose a data folder on a local disk"
        case _:
            return "choose another data folder"


def _runtime_dirs() -> Iterator[Path]:
    """Yield private folders with short paths, the best first."""
    uid = os.geteuid()
    if uid == 0:
        yield _RUNTIME_DIR_AS_ROOT
        return
    session = os.environ.get("XDG_RUNTIME_DIR")
    # After su the variable still names the other user's folder.
    if session and Path(session).is_dir() and Path(session).stat().st_uid == uid:
        yield Path(session) / "imrec-pg"
    yield Path(tempfile.gettempdir()) / f"imrec-pg-{uid}"
    if sys.platform == "darwin":
        yield Path("/tmp") / f"imrec-pg-{uid}"  # noqa: S108 - private inside; macOS's own TMPDIR is long


def _make_parents(folder: Path, account: Account) -> None:
    if folder.is_dir():
        return
    _make_parents(folder.parent, account)
    folder.mkdir(exist_ok=True)
    if account.switch:
        folder.chmod(0o755)  # else root's umask (077 on hardened machines) locks the server's user out


@contextmanager
def _existing_or_new(data_dir: Path) -> Iterator[int]:
    with suppress(FileExistsError):
        data_dir.mkdir(mode=0o700)
    # One descriptor for check and change: the path may be swapped in between.
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield folder
    finally:
        os.close(folder)


def _refuse_foreign(layout: Layout, names: set[str]) -> None:
    if layout.cluster.name in names or names <= layout.own_names:
        return
    others = sorted(name for name in names if name.removeprefix("pg").isdecimal() and name.startswith("pg"))
    if others:
        wrong = (
            f"holds the database of PostgreSQL {others[0].removeprefix('pg')}, and this imrec-pg runs "
            f"{MAJOR_VERSION}: dump it with the imrec-pg that created it"
        )
    elif "PG_VERSION" in names:
        wrong = "is itself a PostgreSQL data folder: connect to its server"
    else:
        wrong = "is not empty and not imrec-pg's: empty it"
    raise EmbeddedServerError(f"{layout.data_dir} {wrong}, or choose another data folder")


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
