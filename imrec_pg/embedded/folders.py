"""The server's folders: made private, and refused when they are someone else's."""

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
# sun_path holds 107 bytes on Linux and 103 on macOS; one rule for both moves few folders.
_SOCKET_PATH_LIMIT = 103
_RUNTIME_DIR_AS_ROOT = Path("/run/imrec-pg")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything lies in a data folder.

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
        """Where initdb works; renamed when it is done, so that a killed one leaves no half cluster."""
        return self.data_dir / f"pg{MAJOR_VERSION}.unfinished"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.data_dir / "server.log"

    @property
    def old_log(self) -> Path:
        """What it said before."""
        return self.data_dir / "server.log.1"

    @property
    def start_lock(self) -> Path:
        """Held by whoever starts or stops the server."""
        return self.data_dir / "start.lock"

    @property
    def use_lock(self) -> Path:
        """Held by the server's processes for as long as they live."""
        return self.data_dir / "use.lock"

    @property
    def tag(self) -> str:
        """A name of this folder: short, printable, and the same for every spelling of the path."""
        return hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]

    @property
    def own_names(self) -> frozenset[str]:
        """The names we use in the data folder."""
        ours = (self.cluster, self.unfinished, self.log, self.old_log, self.start_lock, self.use_lock)
        return frozenset(path.name for path in ours) | {"run"}

    def socket_dir(self) -> Path:
        """Return the folder that a server started now gets for its socket; nothing is created.

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
            "set TMPDIR or --data to a shorter path"
        )


def prepare_data_dir(layout: Layout, account: Account) -> None:
    """Create the data folder, or check that it is the account's own and that nothing of others is in it.

    Raises:
        EmbeddedServerError: it belongs to someone else, holds something else, or cannot be reached.
    """
    data_dir = layout.data_dir
    _make_parents(data_dir.parent, account)
    for parent in reversed(data_dir.parents):
        if not account.can_enter(parent):
            raise EmbeddedServerError(
                f"the server's user {account.name} may not enter {parent}: "
                "use --data with a folder under /var/lib/imrec-pg, or run imrec-pg as a normal user"
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
            "run imrec-pg as its owner, or choose another folder with --data"
        )
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise EmbeddedServerError(
            f"other users may write to {data_dir}: chmod 700 it, or choose another folder with --data"
        )


def make_private_dir(folder: Path, account: Account) -> None:
    """Create the folder, or check that it is a folder of the account's, closed to all others.

    The server trusts whoever reaches its socket, so the folder around it is the only lock.

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
    """Check that this is a folder, no link, of this user and with mode 0700.

    Raises:
        EmbeddedServerError: it is not.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        wrong = "is no folder"
    elif found.st_uid != uid:
        wrong = f"belongs to {_user_name(found.st_uid)}"
    elif stat.S_IMODE(found.st_mode) != 0o700:  # noqa: PLR2004 - the mode itself says it best
        wrong = f"has mode {stat.S_IMODE(found.st_mode):04o} instead of 0700"
    else:
        return
    raise EmbeddedServerError(f"{folder}, for the server's socket, {wrong}: remove it and try again")


@contextmanager
def os_errors_explained(data_dir: Path) -> Iterator[None]:
    """Turn what the operating system refuses into errors that name the way out."""
    try:
        yield
    except OSError as error:
        where = error.filename or data_dir
        raise EmbeddedServerError(f"{where}: {error.strerror or error}: {_way_out(error.errno)}") from error


def _way_out(number: int | None) -> str:
    match number:
        case errno.ENOSPC | errno.EDQUOT:
            return "free some space, or choose a folder on another disk with --data"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "run imrec-pg as the folder's owner, or choose another folder with --data"
        case errno.ENOLCK | errno.EOPNOTSUPP:
            return "its file system has no locks; choose a folder on a local disk with --data"
        case _:
            return "choose another folder with --data"


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
        folder.chmod(0o755)  # else root's umask (077 on hardened machines) shuts the server's user out


@contextmanager
def _existing_or_new(data_dir: Path) -> Iterator[int]:
    with suppress(FileExistsError):
        data_dir.mkdir(mode=0o700)
    # One descriptor for look and change: the path may be swapped between the two.
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
            f"{MAJOR_VERSION}: dump it with the imrec-pg that made it"
        )
    elif "PG_VERSION" in names:
        wrong = "is itself a PostgreSQL data folder: name its server with --dsn"
    else:
        wrong = "is not empty and not imrec-pg's: empty it"
    raise EmbeddedServerError(f"{layout.data_dir} {wrong}, or choose another folder with --data")


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
