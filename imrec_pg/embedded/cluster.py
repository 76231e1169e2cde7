"""The database cluster on disk: created once, configured at each start."""

import os
import shutil
from pathlib import Path

from imrec_pg.embedded import configuration
from imrec_pg.embedded.account import Account
from imrec_pg.embedded.binaries import MAJOR_VERSION
from imrec_pg.embedded.connection import ROLE
from imrec_pg.embedded.folders import Layout
from imrec_pg.errors import EmbeddedServerError

_INITDB_OPTIONS = (
    f"--username={ROLE}",
    "--encoding=UTF8",
    # Built in, so it sorts alike on every machine; libc's locales may be missing, or change in an upgrade.
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    # Safe because the socket's folder has mode 0700: whoever can reach it owns the files anyway.
    "--auth-local=trust",
    # For users who open TCP in user.conf: nobody gets in before a password is set.
    "--auth-host=scram-sha-256",
    "--no-instructions",
)


def initialise(layout: Layout, account: Account, programs: Path) -> None:
    """Create the cluster, completely or, if interrupted, not at all.

    Raises:
        EmbeddedServerError: initdb failed.
    """
    if layout.unfinished.exists():
        shutil.rmtree(layout.unfinished)
    done = account.run([programs / "initdb", *_INITDB_OPTIONS, "-D", layout.unfinished])
    if done.returncode != 0:
        raise EmbeddedServerError(_initdb_failure(layout, done.stdout))
    _write(layout.unfinished / "postgresql.conf", configuration.INCLUDES, os.O_APPEND, account)
    _write(layout.unfinished / configuration.USER_FILE_NAME, configuration.USER_FILE, os.O_EXCL, account)
    layout.unfinished.rename(layout.cluster)


def check_version(layout: Layout) -> None:
    """Check that the cluster has the version of our programs.

    Raises:
        EmbeddedServerError: it has another version, or is not a cluster at all.
    """
    try:
        found = (layout.cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise EmbeddedServerError(
            f"{layout.cluster} holds no PostgreSQL database: remove it, or choose another data folder"
        ) from None
    if found != str(MAJOR_VERSION):
        raise EmbeddedServerError(
            f"{layout.cluster} is of PostgreSQL {found} and this imrec-pg runs {MAJOR_VERSION}: dump it with "
            "the imrec-pg that created it, or choose another data folder"
        )


def configure(layout: Layout, account: Account) -> None:
    """Write imrec-pg.conf, unless it already fits this machine."""
    text = configuration.configuration(configuration.this_machine())
    path = layout.cluster / configuration.FILE_NAME
    if path.is_file() and not path.is_symlink() and path.read_text(encoding="utf-8") == text:
        return
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    _write(partial, text, os.O_EXCL, account)
    partial.replace(path)


def _write(path: Path, text: str, flags: int, account: Account) -> None:
    # As root we must not write through a link that the server's user may have put there.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | flags, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if account.switch:
            os.fchown(descriptor, account.uid, account.gid)
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _initdb_failure(layout: Layout, output: str) -> str:
    said = [line.strip() for line in output.splitlines() if "error:" in line or "FATAL:" in line]
    reason = "; ".join(said) or " ".join(output.split())[-300:]
    if "No space left" in output:
        return f"no space left for a database in {layout.data_dir}: free 100 MB, or choose another folder"
    return f"cannot create a database in {layout.data_dir} ({reason}): choose another data folder"
