"""The server's processes: start them, find them, end them."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imrec_pg.embedded.account import Account
from imrec_pg.embedded.folders import PORT, SOCKET_NAME, Layout
from imrec_pg.embedded.locks import acquire
from imrec_pg.errors import EmbeddedServerError

if TYPE_CHECKING:
    import psutil

_LOCK_SECONDS = 10
# A shell in between makes the server a child of init: as our child it would stay a zombie.
_DETACH = 'exec </dev/null >>"$0" 2>&1; "$@" &'


@dataclass(frozen=True, slots=True)
class PidFile:
    """The contents of postmaster.pid; a server killed with -9 leaves it behind.

    Attributes:
        socket_dir: None until the server accepts connections: before, it would log each attempt.
    """

    pid: int
    socket_dir: Path | None


def read_pid_file(layout: Layout) -> PidFile | None:
    """Return the contents of postmaster.pid, or None if it is absent or empty."""
    try:
        lines = os.fsdecode((layout.cluster / "postmaster.pid").read_bytes()).splitlines()
    except FileNotFoundError:
        return None
    if not lines or not lines[0].lstrip("-").isdecimal():
        return None
    pid = abs(int(lines[0]))  # postgres --single writes it negative
    match lines:
        case [_, _data_dir, _start_time, _port, socket_dir, _address, *_memory, status] if "ready" in status:
            return PidFile(pid, Path(socket_dir))
    return PidFile(pid, None)


def launch(layout: Layout, account: Account, programs: Path, socket_dir: Path) -> None:
    """Start the server and return at once, whether or not it comes up.

    It gets its own session, so that the terminal's Ctrl-C does not reach it; none of our streams, so that it
    keeps no pipe open; and the use lock.
    """
    quoted = str(socket_dir).replace('"', '""')
    use_lock = acquire(layout.use_lock, _LOCK_SECONDS)
    try:
        command: list[str | Path] = [
            *("/bin/sh", "-c", _DETACH, layout.log, programs / "postgres", "-D", layout.cluster),
            # On the command line, so that no configuration file can move the socket away from the DSN.
            *("-c", f"port={PORT}", "-c", f'unix_socket_directories="{quoted}"'),
            # Appears in the title of each process, which anyone can read.
            *("-c", f"cluster_name={_title(layout)}"),
        ]
        shell = account.run(command, pass_fds=[use_lock], new_session=True)
        if shell.returncode != 0:
            raise EmbeddedServerError(f"cannot write {layout.log} ({shell.stdout.strip()}): remove it")
    finally:
        os.close(use_lock)


def postmaster(layout: Layout) -> "psutil.Process | None":
    """Return the running first process of a server on our cluster, whoever started it, or None."""
    import psutil

    pid_file = read_pid_file(layout)
    if pid_file is None:
        return None
    try:
        process = psutil.Process(pid_file.pid)
    except psutil.NoSuchProcess:
        return None
    return process if _uses(process, layout) else None


def remove_stale_files(layout: Layout, socket_dir: Path) -> None:
    """Remove files of a dead server that postgres would take for those of a running one.

    The caller must hold the start lock, and the use lock must be free: then no process of ours is left.

    Raises:
        EmbeddedServerError: a server that somebody else started runs on our cluster.
    """
    if foreign := postmaster(layout):
        raise EmbeddedServerError(
            f"a server not started by imrec-pg (process {foreign.pid}) uses {layout.cluster}: "
            f"kill -INT {foreign.pid} ends it, then try again"
        )
    pid_file = read_pid_file(layout)
    # postgres removes the file itself if the process is gone, and then checks the old shared memory too. It
    # refuses if the id belongs to a zombie or an unrelated process, or the file is empty (full disk).
    if pid_file is None or _exists(pid_file.pid):
        (layout.cluster / "postmaster.pid").unlink(missing_ok=True)
        (socket_dir / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)


def request_stop(layout: Layout) -> None:
    """Ask the server for a fast shutdown (SIGINT): it disconnects clients and rolls back transactions."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        if process := postmaster(layout):
            process.send_signal(signal.SIGINT)


def has_lost_socket(layout: Layout) -> bool:
    """Return whether the server runs but its socket was deleted: logging out removes XDG_RUNTIME_DIR."""
    pid_file = read_pid_file(layout)
    socket_dir = pid_file.socket_dir if pid_file else None
    return socket_dir is not None and not (socket_dir / SOCKET_NAME).exists()


def end_orphans(layout: Layout) -> None:
    """Kill backends whose first process is gone, as it would have done in a crash (SIGQUIT)."""
    import psutil

    for process in psutil.process_iter():
        if _uses(process, layout):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGQUIT)


def log_tail(layout: Layout, start: int) -> str:
    """Return, in one line, the errors in the log after this offset, or else its last line."""
    with layout.log.open("rb") as log:
        log.seek(start)
        lines = log.read().decode(errors="replace").splitlines()
    # Mistakes in a configuration file are logged at level LOG.
    wanted = ("FATAL:", "PANIC:", "ERROR:", "DETAIL:", "HINT:", "postgres:", "parameter", "syntax error")
    errors = [line for line in lines if any(word in line for word in wanted)]
    # A line begins with the time and the process: 2026-01-01 00:00:00.000 UTC [123].
    return "; ".join(" ".join(line.rpartition("] ")[2].split()) for line in errors[-3:] or lines[-1:])


def rotate_log(layout: Layout) -> None:
    """Rename a large log; one older file is kept."""
    if layout.log.exists() and layout.log.stat().st_size > 5_000_000:  # noqa: PLR2004 - some 50,000 lines
        layout.log.replace(layout.old_log)


def _uses(process: "psutil.Process", layout: Layout) -> bool:
    import psutil

    try:
        if process.status() == psutil.STATUS_ZOMBIE or not process.name().startswith("postgres"):
            return False
        command = process.cmdline()
        if any(_title(layout) in word for word in command) or str(layout.cluster) in command:
            return True
        return process.cwd() == str(layout.cluster)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's; in containers even root may not see its working folder
        return False


def _title(layout: Layout) -> str:
    return f"imrec-pg-{layout.tag}"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
