"""Folders that a user names to be written: whole or not there, whatever ends the program."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from imrec_pg import outputs
from imrec_pg.errors import ImrecError, OutputExistsError, UsageError
from imrec_pg.outputs import shown

IsOurs = Callable[[Path], bool]


@contextmanager
def whole_folder(target: Path, what: str, is_ours: IsOurs, *, overwrite: bool) -> Iterator[Path]:
    """Yield a folder to write into, which becomes the target when the block ends well; else it is removed.

    Args:
        target: of a new folder, an empty one, or an earlier output.
        what: the kind of output, such as "an export".
        is_ours: whether a folder is an output of that kind, and holds nothing else.
        overwrite: whether an earlier output may be replaced.

    Raises:
        OutputExistsError: the target holds an earlier output, and overwrite is False.
        UsageError: it holds something else, or cannot be made.
        ImrecError: the disk is full, or another trouble of the file system.
    """
    target = outputs.place(target)
    try:
        replaced = _check(target, what, is_ours, overwrite=overwrite)
        partial = outputs.new_folder(target)
        try:
            yield partial
            _keep(partial, target, replaced, is_ours)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except OSError as error:
        raise ImrecError(
            f"{shown(target)} could not be written ({error.strerror or error}): nothing is left of it; "
            "free space there, or name another folder"
        ) from error


def _check(target: Path, what: str, is_ours: IsOurs, *, overwrite: bool) -> os.stat_result | None:
    """Return the status of the folder that is to be replaced, or None if there is none."""
    if not target.parent.is_dir():
        raise UsageError(f"{shown(target.parent)} is no folder: name a new folder in one that is there")
    found = outputs.status(target)
    if found is None:
        return None
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{shown(target)} is no folder: name a new one")
    if any(target.iterdir()):
        if not is_ours(target):
            raise UsageError(f"{shown(target)} holds other things than {what}: name a new folder")
        if not overwrite:
            raise OutputExistsError(shown(target), what)
    return found


def _keep(partial: Path, target: Path, replaced: os.stat_result | None, is_ours: IsOurs) -> None:
    for path in (*partial.rglob("*"), partial):
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
    if old is not None and is_ours(old):
        _remove(old)


def _remove(folder: Path) -> None:
    # What is in it one by one: what somebody else put there meanwhile stays, and is an error.
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            _remove(path)
        else:
            path.unlink()
    folder.rmdir()
