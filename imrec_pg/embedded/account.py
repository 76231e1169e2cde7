"""The system user that owns the embedded server's files and runs its processes."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imrec_pg.errors import EmbeddedServerError

SERVER_USER = "imrec-pg"
# What a server process needs of the caller's environment. All else stays out: PG* and LC_* change what it
# does (an uninstalled LC_ALL fails initdb), and the server's user could read root's secrets in /proc.
_PASSED_VARIABLES = ("PATH", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_ADD_USER_COMMANDS = (
    "useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin",
    "adduser -S -D -H -h /nonexistent -s /sbin/nologin",  # BusyBox (Alpine) knows no useradd
)


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the server.

    Attributes:
        switch: whether this is another user than the caller: PostgreSQL refuses to run as root.
    """

    name: str
    uid: int
    gid: int
    switch: bool

    def run(
        self, command: Sequence[str | Path], *, pass_fds: Sequence[int] = (), new_session: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Return the ended command, its stdout and stderr together in stdout, whatever its exit status.

        Raises:
            EmbeddedServerError: this process may not switch to the server's user.
        """
        words = [os.fspath(word) for word in command]
        try:
            return subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                cwd="/",  # the caller's folder may be closed to the server's user
                env=_environment(),
                umask=0o077,
                pass_fds=pass_fds,
                start_new_session=new_session,
                user=self.uid if self.switch else None,
                group=self.gid if self.switch else None,
                extra_groups=[] if self.switch else None,
                check=False,
            )
        except PermissionError as error:
            if error.filename == words[0]:  # the program is closed to that user: the caller's business
                raise
            raise EmbeddedServerError(
                f"cannot switch to the user {self.name}, and PostgreSQL refuses to run as root: "
                "run imrec-pg as a normal user, or give --dsn"
            ) from error

    def can_enter(self, folder: Path) -> bool:
        """Return whether this user may enter the folder; asks the kernel, as mode bits don't tell of ACLs."""
        if not self.switch:
            return os.access(folder, os.X_OK)
        return self.run(["test", "-x", folder]).returncode == 0


def server_account() -> Account:
    """Return who runs the server: the caller, or as root the user imrec-pg, created when absent.

    Raises:
        EmbeddedServerError: the user could not be created.
    """
    import pwd

    uid = os.geteuid()
    if uid != 0:
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = str(uid)  # containers run under uids that no passwd file lists
        return Account(name=name, uid=uid, gid=os.getegid(), switch=False)
    entry = _lookup(SERVER_USER) or _create_user()
    return Account(name=SERVER_USER, uid=entry[0], gid=entry[1], switch=True)


def _lookup(name: str) -> tuple[int, int] | None:
    import pwd

    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return entry.pw_uid, entry.pw_gid


def _create_user() -> tuple[int, int]:
    reasons = []
    for command in _ADD_USER_COMMANDS:
        name, *options = command.split()
        program = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
        if program is None:
            continue
        done = subprocess.run([program, *options, SERVER_USER], capture_output=True, text=True, check=False)
        # Looked up whatever the status: another process may have created it a moment before.
        if entry := _lookup(SERVER_USER):
            return entry
        reasons.append(" ".join(done.stderr.split()) or f"{name} ended with {done.returncode}")
    reason = "; ".join(reasons) or "neither useradd nor adduser is installed"
    raise EmbeddedServerError(
        f"PostgreSQL refuses to run as root and the user {SERVER_USER} could not be created ({reason}): "
        f"create a system user {SERVER_USER}, run imrec-pg as a normal user, or give --dsn"
    )


def _environment() -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ}
    # C is always installed; C.UTF-8 is not (macOS, old glibc), and the database has its own built-in one.
    return {"PATH": os.defpath, **passed, "LC_ALL": "C"}
