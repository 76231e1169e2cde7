"""A plan as a shell script, which a person reads and runs: nothing here touches a photo."""

from importlib.resources import files

from imrec_pg.analysis.removals import PlannedFile, RemovalPlan
from imrec_pg.paths import display_path, terminal_text

MARK = b"# imrec-pg duplicates plan"
HEAD = b"#!/bin/sh\n" + MARK
"""How a script of ours begins."""

_EXPLAINED = """: {actions}, {groups} groups.
# Nothing has happened yet. Read this, then run it by sh. Each file is left alone unless it and the one to keep
# still have the SHA-256 that they were stored with.
"""
_END = b"""
printf '%s done, %s left alone\\n' "$acted" "$left" >&2
[ "$left" -eq 0 ] || exit 3
"""


def script_of(plan: RemovalPlan, trash: bytes | None) -> bytes:
    """Return a script for POSIX shells.

    Args:
        plan: what stays, and what goes.
        trash: the absolute path of the folder into which files are moved; None to make hard links of exact copies.
    """
    number = sum(len(group.remove) for group in plan.groups)
    actions = f"{number} files to {'link' if trash is None else 'move'}"
    parts = [HEAD, _EXPLAINED.format(actions=actions, groups=len(plan.groups)).encode()]
    if trash is not None:
        parts.append(b"trash=%s\n" % quoted(trash))
    parts.append(files("imrec_pg.analysis").joinpath("removal.sh").read_bytes())
    verb = b"link" if trash is None else b"move"
    for group in plan.groups:
        parts.append(f"\n# {group.kind}: {_text(group.keep.path)} stays\n".encode())
        parts.append(_call(b"keep", group.keep))
        parts.extend(_call(verb, file) for file in group.remove)
    return b"".join([*parts, _END])


def quoted(path: bytes) -> bytes:
    """Return a path as one word of a shell, whatever bytes it has."""
    return b"'" + path.replace(b"'", b"'\\''") + b"'"


def _call(verb: bytes, file: PlannedFile) -> bytes:
    # An id is the first half of the SHA-256.
    return b"%s %s %s\n" % (verb, quoted(file.path), file.image_id.hex.encode())


def _text(path: bytes) -> str:
    return terminal_text(display_path(path))
