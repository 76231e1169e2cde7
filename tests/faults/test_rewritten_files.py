"""Another program rewrites photos in place while ingest reads them."""

import io
import os
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from uuid import UUID

import pytest
from e2e.database import query
from e2e.photos import scene
from faults.checks import are_features_of, check_batches, check_end, image_id_of
from faults.figures import Figures
from faults.ingester import Orders
from faults.running import started
from PIL import Image

_FILES, _HOT, _PICTURES = 40, 6, 10


class Pictures:
    """A few contents for each format, and what lies in a file between the two steps of writing one."""

    def __init__(self) -> None:
        # Of 230 kB, so that reading one takes a while; each BMP has the same length, and all its torn
        # states are pictures.
        bmp = [_saved(scene(seed, 320, 240), "BMP") for seed in range(_PICTURES)]
        jpeg = [_saved(scene(seed, 320, 240), "JPEG") for seed in range(_PICTURES)]
        self._whole = {".bmp": bmp, ".jpg": jpeg}
        self.content = cache(self._content)
        self.image_id = cache(lambda *state: image_id_of(self._content(*state)))

    def _content(self, suffix: str, new: int, old: int, length: int) -> bytes:
        """Return the first half of one picture and then another one, up to a length."""
        first, rest = self._whole[suffix][new], self._whole[suffix][old]
        half = len(first) // 2
        return (first if new == old else first[:half] + rest[half:])[:length]

    def length(self, suffix: str, number: int) -> int:
        return len(self._whole[suffix][number])


State = tuple[str, int, int, int]


@dataclass
class Rewriter:
    """Rewrites files in place, in two steps, and remembers every content that each of them ever had.

    Attributes:
        had: by path, the image ids, and of which content each is.
        rewrites: how many, by kind.
    """

    paths: list[Path]
    rng: random.Random
    pictures: Pictures = field(default_factory=Pictures)
    had: dict[str, dict[UUID, State]] = field(default_factory=dict)
    rewrites: Counter[str] = field(default_factory=Counter)
    enough: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._now = dict.fromkeys(self.paths, 0)
        for path in self.paths:
            self.create(path)

    def run(self) -> None:
        while not self.enough.is_set():
            # Some are rewritten again and again, so that ingest meets that while it reads.
            for paths in (self.paths, self.paths[:_HOT], self.paths[:_HOT]):
                self.rewrite(self.rng.choice(paths))

    def create(self, path: Path) -> None:
        number = self._now[path] = self.rng.randrange(_PICTURES)
        whole = self._note(path, number, number, self.pictures.length(path.suffix, number))
        path.write_bytes(whole)

    def rewrite(self, path: Path) -> None:
        status, suffix, old = path.stat(), path.suffix, self._now[path]
        new = self._now[path] = (old + self.rng.randrange(1, _PICTURES)) % _PICTURES
        before, after = (self.pictures.length(suffix, number) for number in (old, new))
        # Noted before it is written, so that nobody can read what is not noted.
        self._note(path, new, old, before)
        self._note(path, new, old, min(before, after))
        content = self._note(path, new, new, after)
        descriptor = os.open(path, os.O_RDWR)
        os.pwrite(descriptor, content[: after // 2], 0)
        os.ftruncate(descriptor, min(before, after))
        os.pwrite(descriptor, content[after // 2 :], after // 2)
        os.close(descriptor)
        kind = "same length" if before == after else "another length"
        if self.rng.random() < 0.5:
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
            kind += ", time set back"
        self.rewrites[kind] += 1

    def _note(self, path: Path, new: int, old: int, length: int) -> bytes:
        state = (path.suffix, new, old, length)
        self.had.setdefault(str(path), {})[self.pictures.image_id(*state)] = state
        return self.pictures.content(*state)


def _saved(image: Image.Image, name: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name)
    return buffer.getvalue()


@pytest.mark.parametrize("runs", [1, pytest.param(6, marks=pytest.mark.slow)])
@pytest.mark.timeout(600)
def test_what_is_stored_of_a_file_is_one_of_the_contents_that_it_had(
    runs: int, database: str, tmp_path: Path, figures: Figures
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    paths = [folder / f"{number:03}.{'bmp' if number % 2 else 'jpg'}" for number in range(_FILES)]
    rewriter = Rewriter(paths, random.Random(runs))  # noqa: S311 - repeatable
    thread = threading.Thread(target=rewriter.run, daemon=True)
    thread.start()
    for number in range(runs):
        with started(
            Orders((str(folder),), str(tmp_path / f"{number}.log"), database, workers=2)
        ) as ingester:
            ingester.end()
        _check_contents(figures, database, rewriter)
    rewriter.enough.set()
    thread.join()
    for kind, number in rewriter.rewrites.items():
        figures.add(f"rewrites in place: {kind}", number)
    # Once more, so that it shows: ingest cannot know of what was changed and made to look unchanged.
    for path in paths:
        rewriter.create(path)
    with started(Orders((str(folder),), str(tmp_path / "last.log"), database)) as ingester:
        ingester.end()
    check_batches(figures, database, ingester.batches)
    check_end(figures, database, [folder])


def _check_contents(figures: Figures, dsn: str, rewriter: Rewriter) -> None:
    rows = query(
        dsn,
        "SELECT l.path, image_id, h.histogram::text, b.average_hash::text, d.difference_hash::text "
        "FROM imrec.file AS l INNER JOIN imrec.histogram AS h USING (image_id) "
        "INNER JOIN imrec.average_hash AS b USING (image_id) INNER JOIN imrec.difference_hash AS d USING (image_id)",
    )
    wrong = []
    for path, image_id, *features in rows:
        state = rewriter.had[path].get(image_id)
        if state is None or not are_features_of(rewriter.pictures.content(*state), features):
            wrong.append((path, image_id))
    figures.add("stored hashes compared", len(rows))
    figures.must_be_zero("wrong stored hashes", wrong)
    changed = query(dsn, "SELECT count(*) FROM imrec.failure WHERE error_class = 'ChangedWhileRead'")
    figures.add("files found changed while read", changed[0][0])
