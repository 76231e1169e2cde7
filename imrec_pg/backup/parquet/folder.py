"""The folder of an export: whole or not there, whatever ends the program."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imrec_pg.errors import ImrecError, UsageError
from imrec_pg.paths import display_path

SUFFIX = ".parquet"


@contextmanager
def whole_folder(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a folder to write into, which becomes the target when the block ends well; else it is removed.

    It lies beside the target as TARGET.partial. What a killed export left there is removed first.

    Raises:
        UsageError: the target holds something already, or cannot be made.
        ImrecError: the disk is full, or another trouble of the file system.
    """
    target = target.expanduser().absolute()
    _check(target, overwrite=overwrite)
    partial = target.with_name(f"{target.name}.partial")
    try:
        with _locked(partial):
            _clear(partial)
            try:
                yield partial
                _keep(partial, target)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
    except OSError as error:
        raise ImrecError(
            f"{shown(target)} could not be written ({error.strerror or error}): nothing is left of it; "
            "free space there, or name another folder"
        ) from error


def shown(path: Path) -> str:
    """Return a path for people."""
    return display_path(os.fsencode(path))


def _check(target: Path, *, overwrite: bool) -> None:
    if not target.parent.is_dir():
        raise UsageError(f"{shown(target.parent)} is no folder: name a new folder in one that is there")
    if not os.path.lexists(target):
        return
    if not target.is_dir() or target.is_symlink():
        raise UsageError(f"{shown(target)} is no folder: name a new one")
    if not any(target.iterdir()):
        return
    if not _is_export(target):
        raise UsageError(f"{shown(target)} holds other things than an export: name a new folder")
    if not overwrite:
        raise UsageError(f"{shown(target)} holds an export: name a new folder, or say --overwrite")


def _is_export(folder: Path) -> bool:
    names = [entry.name for entry in folder.iterdir()]
    return f"image{SUFFIX}" in names and all(name.endswith(SUFFIX) for name in names)


@contextmanager
def _locked(partial: Path) -> Iterator[None]:
    """Hold the folder against a second export, which would clear what this one has written."""
    partial.mkdir(exist_ok=True)
    if os.name == "nt":
        yield
        return
    import fcntl

    lock = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another export is writing to {shown(partial)}: wait for it") from None
        except OSError:  # many network disks lock no folders; backups go there all the same
            pass
        # Else what is locked may by now be the target itself.
        if not partial.exists() or not os.path.samestat(os.fstat(lock), partial.stat()):
            raise UsageError(f"another export has just written to {shown(partial)}: try again")
        yield
    finally:
        os.close(lock)


def _clear(partial: Path) -> None:
    for entry in partial.iterdir():
        if not entry.name.endswith(SUFFIX):
            raise UsageError(f"{shown(partial)} holds {shown(entry)}, which is in the way: move it")
        entry.unlink()


def _keep(partial: Path, target: Path) -> None:
    for path in (*partial.iterdir(), partial):
        _to_disk(path)
    # Two renames, since no single one puts a folder in the place of a full one.
    old = target.with_name(f".{target.name}.replaced") if target.exists() else None
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    partial.rename(target)
    _to_disk(target.parent)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _to_disk(path: Path) -> None:
    """Wait until a power cut could not take it any more."""
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    elif os.name != "nt":
        opened = os.open(path, os.O_RDONLY)
        with suppress(OSError):  # some network disks do that by themselves, and refuse to be told
            os.fsync(opened)
        os.close(opened)
