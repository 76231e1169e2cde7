"""What a walk leaves out on request: patterns as in .gitignore, by option or in files named .imrecignore.

A pattern without a slash, or with one at its end alone, is for names at any depth; another one is for paths
below the folder that it belongs to. *, ? and [...] match within a name, ** any number of folders. A slash at
the end: folders only. ! at the start: not left out after all. The last pattern that matches decides, and a
folder that is left out is not looked into. Capital letters count.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from imrec_pg.paths import slashed

IGNORE_FILE = b".imrecignore"
"""Its patterns are for the folder that holds it, one a line; lines that begin with # are comments."""

# What a person writes is far below; a file of gigabytes would be read into memory.
_MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class _Pattern:
    parts: tuple[str, ...]
    folders_only: bool
    negated: bool

    def matches(self, path: Sequence[str], *, folder: bool) -> bool:
        if self.folders_only and not folder:
            return False
        # How many parts of the pattern may be matched so far. Trying one way after the other would take for
        # ever on a hostile pattern, and so would one regular expression for all of it.
        reached = self._past_stars({0})
        for name in path:
            reached = self._past_stars(
                {at if self.parts[at] == "**" else at + 1 for at in reached if self._accepts(at, name)}
            )
        return len(self.parts) in reached

    def _accepts(self, at: int, name: str) -> bool:
        return at < len(self.parts) and (self.parts[at] == "**" or fnmatchcase(name, self.parts[at]))

    def _past_stars(self, reached: set[int]) -> set[int]:
        further = set(reached)
        for at in sorted(reached):
            while at < len(self.parts) and self.parts[at] == "**":
                at += 1  # noqa: PLW2901 - ** may stand for no folder
                further.add(at)
        return further


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Patterns and the folder that they belong to."""

    base: bytes
    patterns: tuple[_Pattern, ...]


def exclusion(base: bytes, lines: Iterable[str]) -> Exclusion:
    """Return the patterns of some lines, for a folder, raw bytes."""
    return Exclusion(slashed(base), tuple(p for line in lines if (p := _parsed(line)) is not None))


def exclusion_in(folder: bytes) -> Exclusion | None:
    """Return what the ignore file of a folder leaves out; None where there is none.

    Raises:
        OSError: it cannot be read.
    """
    path = slashed(folder) + IGNORE_FILE
    if not os.path.isfile(path):  # noqa: PTH113 - bytes
        return None
    with open(path, "rb") as file:  # noqa: PTH123 - bytes
        text = file.read(_MOST_BYTES).decode(errors="surrogateescape")
    return exclusion(folder, text.removeprefix("\ufeff").splitlines())


def is_excluded(exclusions: Sequence[Exclusion], path: bytes, *, folder: bool) -> bool:
    """Return whether a file or folder below all the exclusions' folders is left out; the innermost decides."""
    for one in reversed(exclusions):
        below = path[len(one.base) :].decode(errors="surrogateescape").split("/")
        for pattern in reversed(one.patterns):
            if pattern.matches(below, folder=folder):
                return not pattern.negated
    return False


def _parsed(line: str) -> _Pattern | None:
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    line = line.removeprefix("!").removeprefix("\\")
    anchored = "/" in line.rstrip("/")
    parts = tuple(part for part in line.split("/") if part)
    return _Pattern(parts if anchored else ("**", *parts), line.endswith("/"), negated) if parts else None
