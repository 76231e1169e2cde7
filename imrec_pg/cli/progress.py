"""Progress bars on stderr; none if stderr is not a terminal, such as in a log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imrec_pg.paths import terminal_text

if TYPE_CHECKING:
    from typing import Never

    from tqdm import tqdm

    from imrec_pg.ingest.tally import Tally

OnStep = Callable[[str, int, int | None], None]


@contextmanager
def steps(name: str, *, quiet: bool = False, unit: str = " rows") -> Iterator[OnStep]:
    """Yield what to call with the step, how much of it is done, and its total; each step starts at 0."""
    from tqdm import tqdm

    with tqdm(unit=unit, desc=name, disable=quiet or None, dynamic_ncols=True, delay=1) as bar:
        shown = ""

        def show(step: str, done: int, total: int | None) -> None:
            nonlocal shown
            if step != shown:
                shown = step
                bar.set_description(f"{name}: {terminal_text(step)}", refresh=False)
                bar.reset(total)
            bar.update(done - bar.n)

        yield show


@contextmanager
def counted(what: str, total: int | None = None, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Yield what to call with the number done so far; the bar appears after a second and goes at the end."""
    from tqdm import tqdm

    with tqdm(
        unit=f" {what}", total=total, disable=quiet or None, dynamic_ncols=True, delay=1, leave=False
    ) as bar:
        yield lambda done: _update(bar, done)


@contextmanager
def transferred(name: str) -> Iterator[Callable[[int], None]]:
    """Yield what to call with the number of bytes done so far."""
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, desc=name, disable=None, dynamic_ncols=True, delay=1) as bar:
        yield lambda done: _update(bar, done)


@contextmanager
def ingested(*, quiet: bool) -> Iterator[Callable[["Tally"], None]]:
    """Yield what to call with an ingest's tally; shows files, rate, remaining time and failures."""
    from tqdm import tqdm

    with tqdm(unit=" files", desc="ingest", disable=quiet or None, dynamic_ncols=True) as bar:

        def show(tally: "Tally") -> None:
            bar.total = tally.total
            bar.set_postfix(new=tally.new, failed=tally.failed, refresh=False)
            bar.update(tally.done - bar.n)

        yield show


def _update(bar: "tqdm[Never]", done: int) -> None:
    bar.update(done - bar.n)
