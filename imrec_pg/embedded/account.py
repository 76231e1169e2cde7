"""The system user that owns the embedded server's files and runs its processes."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imrec_pg.errors import EmbeddedServerError

SERVER_USER = "imrec-pg"
# What a server process needs from the caller's environment. The rest stays out: PG* and LC_* change what it
# does (initdb fails with an LC_ALL that is not installed), and its user could read root's secrets in /proc.
_PASSED_VARIABLES = ("PATH", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_ADD_USER_COMMANDS = (
    "useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin",
    "adduser -S -D -H -h /nonexistent -s /sbin/nologin",  # BusyBox (Alpine) has no useradd
)


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the server.

    Attributes:
        switch: whether this is not the caller: PostgreSQL refuses to run as root.
    """

    name: str
    uid: int
    gid: int
    switch: bool

    def run(
        self, command: Sequence[str | Path], *, pass_fds: Sequence[int] = (), new_session: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Return the finished command, stdout and stderr together in stdout, whatever its exit status.

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
                cwd="/",  # the server's user may have no access to the caller's folder
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
            if error.filename == words[0]:  # that user may not run the program: for the caller to handle
                raise
            raise EmbeddedServerError(
                f"cannot switch to the user {self.name}, and PostgreSQL refuses to run as root: "
                "run imrec-pg as a normal user, or use another server"
            ) from error

    def can_enter(self, folder: Path) -> bool:
        """Return whether this user may enter the folder; asks the kernel, because mode bits omit ACLs."""
        if not self.switch:
            return os.access(folder, os.X_OK)
        return self.run(["test", "-x", folder]).returncode == 0


def server_account() -> Account:
    """Return who runs the server: the caller; for root the user imrec-pg, created if necessary.

    Raises:
        EmbeddedServerError: the user could not be created.
    """
    import pwd

    uid = os.geteuid()
    if uid != 0:
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = str(uid)  # containers run under uids that are in no passwd file
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
        # Looked up whatever the status: another process may have just created it.
        if entry := _lookup(SERVER_USER):
            return entry
        reasons.append(" ".join(done.stderr.split()) or f"{name} ended with {done.returncode}")
    reason = "; ".join(reasons) or "neither useradd nor adduser is installed"
    raise EmbeddedServerError(
        f"PostgreSQL refuses to run as root and the user {SERVER_USER} could not be created ({reason}): "
        f"create a system user {SERVER_USER}, run imrec-pg as a normal user, or use another server"
    )


def _environment() -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ}
    # C is always installed; C.UTF-8 is not (macOS, old glibc), and the database has a built-in one.
    return {"PATH": os.defpath, **passed, "LC_ALL": "C"}
