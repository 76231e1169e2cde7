"""The folder of an export: whole or not there, whatever ends the program."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imrec_pg import outputs
from imrec_pg.errors import ImrecError, OutputExistsError, UsageError
from imrec_pg.paths import display_path

SUFFIX = ".parquet"
_MARK = b"imrec.schema"  # in the metadata at the end of each file


@contextmanager
def whole_folder(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a folder to write into, which becomes the target when the block ends well; else it is removed.

    Raises:
        OutputExistsError: the target holds an export, and overwrite is False.
        UsageError: it holds something else, or cannot be made.
        ImrecError: the disk is full, or another trouble of the file system.
    """
    target = outputs.place(target)
    try:
        replaced = _check(target, overwrite=overwrite)
        partial = outputs.new_folder(target)
        try:
            yield partial
            _keep(partial, target, replaced)
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


def _check(target: Path, *, overwrite: bool) -> os.stat_result | None:
    """Return the status of the folder that is to be replaced, or None if there is none."""
    if not target.parent.is_dir():
        raise UsageError(f"{shown(target.parent)} is no folder: name a new folder in one that is there")
    found = outputs.status(target)
    if found is None:
        return None
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{shown(target)} is no folder: name a new one")
    if any(target.iterdir()):
        if not _is_export(target):
            raise UsageError(f"{shown(target)} holds other things than an export: name a new folder")
        if not overwrite:
            raise OutputExistsError(shown(target), "an export")
    return found


def _is_export(folder: Path) -> bool:
    """Return whether a folder holds files of an export, and nothing else, not even other Parquet files."""
    files = list(folder.iterdir())
    return any(file.name == f"image{SUFFIX}" for file in files) and all(
        file.name.endswith(SUFFIX) and outputs.is_marked(file, (b"PAR1",), _MARK) for file in files
    )


def _keep(partial: Path, target: Path, replaced: os.stat_result | None) -> None:
    for path in (*partial.iterdir(), partial):
        outputs.to_disk(path)
    if not outputs.is_unchanged(target, replaced):
        raise ImrecError(
            f"another program has just written to {shown(target)}: nothing was replaced; try again"
        )
    old = None
    if replaced is not None and any(target.iterdir()):
        # Two renames, since no single one puts a folder in the place of a full one.
        old = outputs.unused_name(target)
        target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        if old is not None:
            old.rename(target)
        raise
    outputs.to_disk(target.parent)
    if old is not None and _is_export(old):
        # Its files one by one: what somebody else put there meanwhile stays.
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
