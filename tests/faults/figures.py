"""What a run of this suite counted: printed as one table at its end, by the hook in conftest.py."""

from collections import Counter
from collections.abc import Callable, Iterable

PREFIX = "fault suite: "
ZERO = (
    "rows lost",
    "partial batches",
    "files without a verdict",
    "deadlocks",
    "wrong stored hashes",
)
"""Figures that must be zero."""


class Figures:
    """Adds to the figures of a test; they travel in its report, so that pytest-xdist carries them too."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record

    def add(self, name: str, number: float = 1) -> None:
        self._record(PREFIX + name, number)

    def injected(self, kind: str, number: int = 1) -> None:
        self.add(f"injected: {kind}", number)

    def must_be_zero(self, name: str, found: Iterable[object]) -> None:
        """Count what was found, and fail when there is any."""
        assert name in ZERO
        listed = list(found)
        self.add(name, len(listed))
        assert not listed, f"{name}: {len(listed)}, such as {listed[:5]}"


def table(properties: Iterable[tuple[str, object]]) -> list[str]:
    """Return the lines of the table, or none when nothing was counted."""
    sums: Counter[str] = Counter()
    for name, number in properties:
        if name.startswith(PREFIX):
            sums[name.removeprefix(PREFIX)] += float(str(number))  # type: ignore[assignment]
    if not sums:
        return []
    kinds = sorted(name for name in sums if name.startswith("injected: "))
    last = [name for name in ZERO if name in sums]
    others = sorted(set(sums) - set(kinds) - set(last))
    total = sum(sums[name] for name in kinds)
    return [
        *(f"{sums[name]:>12,.10g}  {name}" for name in kinds),
        f"{total:>12,.10g}  injected in all",
        *(f"{sums[name]:>12,.10g}  {name}" for name in (*others, *last)),
    ]
