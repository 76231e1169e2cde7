"""A bar of several steps, for what reports (step, done, total)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnStep = Callable[[str, int, int | None], None]


@contextmanager
def steps(name: str, *, quiet: bool, unit: str = " rows") -> Iterator[OnStep]:
    """Yield what to call with the step, how much of it is done, and of how much; a new step begins anew."""
    from tqdm import tqdm

    # disable=None: no bar where stderr is no terminal, such as in a log.
    with tqdm(unit=unit, desc=name, disable=True if quiet else None, dynamic_ncols=True, delay=1) as bar:
        shown = ""

        def show(step: str, done: int, total: int | None) -> None:
            nonlocal shown
            if step != shown:
                shown = step
                bar.set_description(f"{name}: {step}", refresh=False)
                bar.reset(total)
            bar.update(done - bar.n)

        yield show
