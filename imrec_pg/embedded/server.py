"""Start, stop and inspect the embedded server."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from imrec_pg.embedded import cluster, connection, processes
from imrec_pg.embedded.account import Account, server_account
from imrec_pg.embedded.binaries import programs_for
from imrec_pg.embedded.folders import (
    Layout,
    check_private_dir,
    make_private_dir,
    os_errors_explained,
    prepare_data_dir,
)
from imrec_pg.embedded.locks import exclusive, is_held
from imrec_pg.errors import EmbeddedServerError, ServerStoppedError

_POLL_SECONDS = 0.05
# A backend soon notices that the first process is gone, unless it is in a long computation.
_ORPHAN_SECONDS = 5


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """State of the embedded server.

    Attributes:
        running: whether it just answered a query.
        socket_dir: None if it is not running.
        pid: of its first process; None if it is not running.
        version: such as "18.4"; None if it is not running.
        size_bytes: of the data folder; None if there is none.
    """

    running: bool
    data_dir: Path
    socket_dir: Path | None
    pid: int | None
    version: str | None
    log: Path
    size_bytes: int | None


class EmbeddedServer:
    """The server of one data folder; it outlives this object and this process.

    Attributes:
        data_dir: the folder of the cluster, the log, the locks and, if its path is short, the socket.
        timeout: how many seconds a start or a stop may take; crash recovery can take minutes.
    """

    def __init__(self, data_dir: Path, *, timeout: float = 300.0) -> None:
        self.data_dir = data_dir.resolve()
        self.timeout = timeout
        self._layout = Layout(self.data_dir)

    @property
    def dsn(self) -> str:
        """The URL of the database imrec, whether or not the server runs.

        Raises:
            EmbeddedServerError: the folder may not be read.
        """
        with os_errors_explained(self.data_dir):
            return connection.dsn(self._socket_dir())

    def start(self, *, again: bool = False) -> str:
        """Return the URL of the database imrec on a server that just answered; start it if necessary.

        With again, the caller was using the server: if somebody stopped it deliberately, it is not restarted.

        Raises:
            ServerStoppedError: somebody did.
            EmbeddedServerError: it could not be set up or started; the text says what to do.
        """
        _refuse_windows()
        with os_errors_explained(self.data_dir):
            account = server_account()
            if self._owner() == account.uid and self._answers():
                return self.dsn
            prepare_data_dir(self._layout, account)
            # Others may be starting it, and each may take the full time.
            with exclusive(self._layout.start_lock, 2 * self.timeout):
                if not self._answers():
                    # A killed server leaves its pid file behind, a stopped one does not.
                    if again and not processes.read_pid_file(self._layout):
                        raise ServerStoppedError(self.data_dir)
                    self._bring_up(account)
            return self.dsn

    def stop(self) -> bool:
        """Stop the server; return whether it was running. Open transactions are rolled back.

        Raises:
            EmbeddedServerError: it did not stop in time.
        """
        _refuse_windows()
        with os_errors_explained(self.data_dir):
            if not is_held(self._layout.use_lock):
                return False
            with exclusive(self._layout.start_lock, 2 * self.timeout):
                ran = is_held(self._layout.use_lock)
                self._settle(time.monotonic() + self.timeout, stop=True)
                return ran

    def status(self) -> ServerStatus:
        """Return the state; starts and changes nothing.

        Raises:
            EmbeddedServerError: the folder may not be read.
        """
        _refuse_windows()
        with os_errors_explained(self.data_dir):
            version = self._version(connection.DATABASE)
            running = version is not None
            pid_file = processes.read_pid_file(self._layout) if running else None
            return ServerStatus(
                running=running,
                data_dir=self.data_dir,
                socket_dir=self._socket_dir() if running else None,
                pid=pid_file.pid if pid_file else None,
                version=version,
                log=self._layout.log,
                size_bytes=_size(self.data_dir) if self.data_dir.is_dir() else None,
            )

    def _owner(self) -> int | None:
        try:
            return self.data_dir.stat().st_uid
        except FileNotFoundError:
            return None

    def _socket_dir(self) -> Path:
        pid_file = processes.read_pid_file(self._layout)
        # A running server keeps its folder even if XDG_RUNTIME_DIR or TMPDIR have changed since.
        return (pid_file and pid_file.socket_dir) or self._layout.socket_dir()

    def _answers(self, database: str = connection.DATABASE) -> bool:
        return self._version(database) is not None

    def _version(self, database: str) -> str | None:
        owner = self._owner()
        pid_file = processes.read_pid_file(self._layout)
        socket_dir = pid_file.socket_dir if pid_file else None
        if owner is None or socket_dir is None or not socket_dir.exists():
            return None
        # Else, in a shared /tmp, another user's program could answer.
        check_private_dir(socket_dir, owner)
        return connection.server_version(connection.dsn(socket_dir, database))

    def _bring_up(self, account: Account) -> None:
        deadline = time.monotonic() + self.timeout
        if not self._settle(deadline, stop=False):
            programs = programs_for(account)
            if not self._layout.cluster.exists():
                cluster.initialise(self._layout, account, programs)
            cluster.check_version(self._layout)
            cluster.configure(self._layout, account)
            socket_dir = self._layout.socket_dir()
            if socket_dir.parent != self.data_dir:
                make_private_dir(socket_dir.parent, account)
            make_private_dir(socket_dir, account)
            processes.remove_stale_files(self._layout, socket_dir)
            self._launch(account, programs, socket_dir, deadline)
        connection.create_database(self._socket_dir())

    def _launch(self, account: Account, programs: Path, socket_dir: Path, deadline: float) -> None:
        log = self._layout.log
        processes.rotate_log(self._layout)
        log_start = log.stat().st_size if log.exists() else 0
        processes.launch(self._layout, account, programs, socket_dir)
        while not self._answers(connection.MAINTENANCE_DATABASE):
            if not is_held(self._layout.use_lock):
                said = processes.log_tail(self._layout, log_start)
                raise EmbeddedServerError(_start_failure(self._layout, said))
            self._wait(deadline, "it is still starting")

    def _settle(self, deadline: float, *, stop: bool) -> bool:
        """Return True if a running server answers, False once none is left."""
        end_orphans_at = time.monotonic() + _ORPHAN_SECONDS
        while is_held(self._layout.use_lock):
            if not stop and self._answers(connection.MAINTENANCE_DATABASE):
                return True
            if processes.postmaster(self._layout) is None:
                if time.monotonic() > end_orphans_at:
                    processes.end_orphans(self._layout)
            elif stop or processes.has_lost_socket(self._layout):
                processes.request_stop(self._layout)
            self._wait(deadline, "its processes have not ended" if stop else "it does not answer")
        return False

    def _wait(self, deadline: float, reason: str) -> None:
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"the server in {self.data_dir} needs longer than {self.timeout:.0f} s ({reason}): "
                f"it continues by itself; see {self._layout.log} and try again later"
            )
        time.sleep(_POLL_SECONDS)


def _refuse_windows() -> None:
    if os.name == "nt":
        raise EmbeddedServerError("the embedded server does not run on Windows: use WSL, or another server")


def _start_failure(layout: Layout, said: str) -> str:
    # A full disk may leave no room for that message. A start may need 16 MB: one file of the write-ahead log.
    if "No space left" in said or shutil.disk_usage(layout.data_dir).free < 16 * 1024 * 1024:
        return f"no space left for the server in {layout.data_dir}: free some space, then try again"
    return f"the server in {layout.data_dir} did not start ({said}): see {layout.log}"


def _size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(root, name).lstat().st_size
            except FileNotFoundError:  # the server removes files all the time
                continue
    return total
