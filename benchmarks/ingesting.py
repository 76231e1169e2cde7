"""Ingest: Library.ingest beside the seed's loop on the same photos, and what both take from the machine."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import photos
from benchmarks.fidelity import fidelity_lines
from benchmarks.processes import Sampler, Usage, shares
from benchmarks.programs import Program
from benchmarks.results import Line, Section, Value, at_most, ratio_at_least
from benchmarks.scratch import Scratch
from imrec_pg.db.session import open_session
from imrec_pg.settings import Settings

_RIVAL = "the seed's loop"
_MOST_MEMORY = 1_500_000_000
_MOST_GROWTH = 1.1
# With fewer images the run is over before memory could grow.
_ENOUGH_FOR_GROWTH = 5_000
# Its rate does not change with their number: so many photos, or so long for each half of them, will do.
_MOST_FOR_SEED = 400
_SEED_SECONDS = 60.0
_WARM_UP = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """Photos of one size.

    Attributes:
        goal: how many times the seed's loop ours is to be.
        part: how many of them, for each one of the small photos.
    """

    name: str
    size: tuple[int, int]
    goal: float
    part: float


KINDS = (
    Kind("0.2 megapixels", photos.SMALL, 4.0, 1.0),
    # A sixtieth of the pixels in the same time: enough to measure.
    Kind("12 megapixels", photos.LARGE, 5.0, 0.125),
)


@dataclass(frozen=True, slots=True)
class _Run:
    """What one contender did.

    Attributes:
        start_seconds: from the start of its process to its first photos.
    """

    images: int
    seconds: float
    usage: Usage
    start_seconds: float

    @property
    def rate(self) -> Value:
        return Value(self.images / self.seconds)

    @property
    def cpu_an_image(self) -> Value:
        return Value(sum(self.usage.cpu_seconds.values()) / self.images)


def ingest_lines(scratch: Scratch, sources: list[Path], images: int) -> Iterator[Line]:
    """Yield lines for small and for large photos made from the sources."""
    for number, kind in enumerate(KINDS):
        made = max(_WARM_UP, round(images * kind.part))
        for_seed = min(made, _MOST_FOR_SEED)
        folder = scratch.folder / f"photos{number}"
        parts = [(0, for_seed // 2), (for_seed // 2, for_seed - for_seed // 2), (for_seed, made - for_seed)]
        for part, (first, count) in enumerate(parts):
            photos.make(folder / f"part{part}", sources, count, kind.size, first=first)
        warm_up = scratch.folder / f"warm_up{number}"
        photos.make(warm_up, sources, _WARM_UP, kind.size, first=made)
        settings = scratch.library(f"ingest{number}")
        ours, seed, model_share, pickles = _compare(scratch, settings, folder, warm_up)
        yield from _lines(kind, ours, seed, model_share)
        with open_session(settings) as conn:
            yield from fidelity_lines(conn, pickles, kind.name)


def _compare(
    scratch: Scratch, settings: Settings, folder: Path, warm_up: Path
) -> tuple[_Run, _Run, float, list[Path]]:
    """Return our run, the seed's, the model's share of our main process, and the seed's features.

    The seed's loop works on half of its photos before us and on the other half after us, so that what else
    the machine does meets both.
    """
    pickles = [scratch.folder / f"{folder.name}-{part}.pickle" for part in range(2)]
    started = time.perf_counter()
    with Program("benchmarks.rivals.seed_loop") as seed:
        seed.answer()
        seed_start = time.perf_counter() - started
        with Sampler(seed.process, list) as seed_before:
            before = seed.ask(str(folder / "part0"), str(pickles[0]), str(_SEED_SECONDS))
        started = time.perf_counter()
        with Program("benchmarks.ingest_program", [settings.dsn or "", str(warm_up)]) as ours:
            ours.answer()
            our_start = time.perf_counter() - started
            with Sampler(ours.process, scratch.server_processes) as sampler:
                answer = ours.ask(str(folder))
        with Sampler(seed.process, list) as seed_after:
            after = seed.ask(str(folder / "part1"), str(pickles[1]), str(_SEED_SECONDS))
    usages = (seed_before.usage(), seed_after.usage())
    seed_usage = Usage(
        [sample for usage in usages for sample in usage.memory],
        {"main": sum(sum(usage.cpu_seconds.values()) for usage in usages)},
    )
    seed_images, seed_seconds = before["images"] + after["images"], before["seconds"] + after["seconds"]
    usage = sampler.usage()
    model_share = answer["model_cpu_seconds"] / (usage.cpu_seconds.get("main", 0.0) or 1.0)
    return (
        _Run(answer["images"], answer["seconds"], usage, our_start),
        _Run(seed_images, seed_seconds, seed_usage, seed_start),
        min(1.0, model_share),
        pickles,
    )


def _lines(kind: Kind, ours: _Run, seed: _Run, model_share: float) -> Iterator[Line]:
    note = (
        f"{ours.images} photos, the seed's loop {seed.images} of them; models loaded before; "
        "ours makes the perceptual hash as well"
    )
    goal = ratio_at_least(kind.goal, ours.rate, seed.rate)
    what = f"{kind.name}: ingest"
    yield Line(Section.INGEST, what, "images/s", ours.rate, _RIVAL, seed.rate, goal, note)
    start, seed_start = Value(ours.start_seconds), Value(seed.start_seconds)
    yield Line(Section.INGEST, f"{kind.name}: start and first photos", "s", start, _RIVAL, seed_start)
    cpu, seed_cpu = ours.cpu_an_image, seed.cpu_an_image
    yield Line(Section.INGEST, f"{kind.name}: processor time an image", "s", cpu, _RIVAL, seed_cpu)
    for stage, share in _stages(ours.usage.cpu_seconds, model_share).items():
        what = f"{kind.name}: processor time of the {stage}"
        yield Line(Section.INGEST, what, "share", Value(share))
    peak, seed_peak = Value(ours.usage.peak), Value(seed.usage.peak)
    goal = at_most(_MOST_MEMORY, peak.number, "1.5 GB")
    what = f"{kind.name}: peak memory without the database"
    yield Line(Section.INGEST, what, "bytes", peak, _RIVAL, seed_peak, goal)
    growth = ours.usage.growth
    enough = ours.images >= _ENOUGH_FOR_GROWTH
    yield Line(
        Section.INGEST,
        f"{kind.name}: memory in the last quarter of the time, of that in the second",
        "",
        Value(growth, count=len(ours.usage.memory)),
        goal=at_most(_MOST_GROWTH, growth, f"{_MOST_GROWTH:g}") if enough else None,
        note="" if enough else f"says little below {_ENOUGH_FOR_GROWTH:,} images",
    )


def _stages(cpu_seconds: Mapping[str, float], model_share: float) -> dict[str, float]:
    share = shares(cpu_seconds)
    main = share.get("main", 0.0)
    return {
        "decode workers": share.get("workers", 0.0),
        "model": main * model_share,
        "main process's rest": main * (1 - model_share),
        "database": share.get("database", 0.0),
    }
