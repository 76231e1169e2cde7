"""Photos of the same kind: how many of the photos nearest to one are of its kind."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.ranking import Ranks
from imrec_pg.errors import UsageError

NEAREST = 5


def kinds_of(paths: Sequence[Path], named: Mapping[str, str]) -> list[str | None]:
    """Return each photo's kind: what its name is given as, else its folder, if there are several; else None."""
    if named:
        return [named.get(path.stem) for path in paths]
    folders = [path.parent.name for path in paths]
    return list(folders) if len(set(folders)) > 1 else [None] * len(paths)


def read_kinds(file: Path | None) -> dict[str, str]:
    """Return kinds by the names of photos without their endings; the file has lines such as "pug,dog".

    Raises:
        UsageError: it cannot be read, or is no such file.
    """
    if file is None:
        return {}
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            return {name.strip(): kind.strip() for name, kind in csv.reader(lines)}
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"--kinds needs lines such as pug,dog: {error}") from error


def asked(kinds: Sequence[str | None]) -> list[int]:
    """Return the positions of photos of whose kind there are others enough to fill the nearest."""
    number = Counter(kinds)
    return [place for place, kind in enumerate(kinds) if kind is not None and number[kind] > NEAREST]


def precision(ranks: Ranks, kinds: Sequence[str | None], queries: Sequence[int]) -> float:
    """Return the mean share of the nearest that are of the query's kind, itself left out.

    Args:
        ranks: of all photos for each of them as the query.
        kinds: of all photos.
        queries: positions of those that are asked for.
    """
    same = np.array([[kinds[query] == kind for kind in kinds] for query in queries])
    found: NDArray[np.int32] = ranks[list(queries)].copy()
    own = found[np.arange(len(queries)), list(queries)]
    # Those behind the query itself move up.
    found -= found > own[:, None]
    found[np.arange(len(queries)), list(queries)] = len(kinds)
    return float((same & (found <= NEAREST)).sum() / (NEAREST * len(queries)))
