"""imrec-pg duplicates review."""

import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from imrec_pg.analysis.duplicates import DuplicateKind, Verdict
from imrec_pg.cli.common import EnumChoice, database_options, invocation, print_line, say, size
from imrec_pg.errors import UsageError

if TYPE_CHECKING:
    from imrec_pg.analysis.duplicates import DuplicateGroup, DuplicatePhoto
    from imrec_pg.decoding import Decoders
    from imrec_pg.library import Library

_KEYS = {"s": Verdict.SAME, "a": Verdict.ALTERNATE, "d": Verdict.DIFFERENT}
_HELP = "s same, S all of the group, a alternate, d different, n next, u undo, q quit"
_WIDEST = 120  # columns of a picture


@click.command(
    "review",
    epilog="""\b
Examples:
  imrec-pg duplicates review
  imrec-pg duplicates review --by closeness
  imrec-pg duplicates review --kind burst --no-pictures""",
)
@click.option(
    "--kind",
    type=EnumChoice(DuplicateKind),
    default=DuplicateKind.COPY,
    show_default=True,
    help="Near copies or bursts; of exact copies nothing can be said.",
)
@click.option(
    "--by",
    type=click.Choice(["savings", "closeness"]),
    default="savings",
    show_default=True,
    help="What comes first: what takes most space, or what is most alike.",
)
@click.option("--no-pictures", is_flag=True, help="Show names and sizes alone.")
@database_options
def command(*, kind: DuplicateKind, by: str, no_pictures: bool) -> None:
    """Go through near copies in the terminal: each beside the photo to keep, and what is different.

    One key says what the two are, and is stored at once; pairs of which something was said do not come back.

    \b
    s  the same          S  the same, and so is the rest of the group
    a  alternate: an edit worth keeping         d  different
    n  next, say nothing        u  undo         q  quit

    Pictures need textual-image (pip install 'imrec-pg[review]').
    """  # noqa: D301 - click's own mark
    if kind is DuplicateKind.EXACT:
        raise click.UsageError("exact copies are the same: nothing can be said of them")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("review asks in a terminal: use duplicates list and duplicates verdict in scripts")
    with invocation().library() as library, ExitStack() as stack:
        pairs = _pairs(library, kind, by)
        if not pairs:
            say("nothing to review: imrec-pg duplicates find looks for near copies")
            return
        draw = None if no_pictures else _Drawing.on_this_terminal(stack)
        review = _Review(library, pairs, draw)
        try:
            stack.enter_context(_single_keys())
            review.run()
        finally:
            say(f"{review.said:,} pairs judged, {len(pairs) - review.place:,} left")


@dataclass(frozen=True, slots=True)
class _Pair:
    group: "DuplicateGroup"
    number: int
    keep: "DuplicatePhoto"
    other: "DuplicatePhoto"


def _pairs(library: "Library", kind: DuplicateKind, by: str) -> list[_Pair]:
    """Return the pairs of which nothing was said yet."""
    known = {frozenset((one.image_id, one.other_id)) for one in library.verdicts()}
    groups = library.duplicates(kind)
    if by == "closeness":
        groups.sort(key=lambda group: (group.farthest, group.group_id))
    return [
        _Pair(group, number, group.photos[0], other)
        for number, group in enumerate(groups, 1)
        for other in group.photos[1:]
        if frozenset((group.photos[0].image_id, other.image_id)) not in known
    ]


class _Drawing:
    """Draws pairs on a terminal."""

    def __init__(self, decoders: "Decoders") -> None:
        self._decoders = decoders

    @classmethod
    def on_this_terminal(cls, stack: ExitStack) -> "_Drawing | None":
        """Return None where the library for it is not installed, or the terminal does not say how wide it is."""
        logging.getLogger("textual_image").setLevel(logging.ERROR)  # of terminals that do not answer
        # A width of 0 would be divided by.
        if shutil.get_terminal_size((0, 0)).columns == 0:
            return None
        try:
            import textual_image.renderable  # noqa: F401 - asks the terminal, which must be before the first key
        except ImportError:
            say("no pictures: pip install 'imrec-pg[review]' shows them in the terminal")
            return None
        from imrec_pg.decoding import Decoders

        return cls(stack.enter_context(Decoders(2)))

    def draw(self, pair: _Pair) -> None:
        from rich.console import Console
        from textual_image.renderable import Image

        from imrec_pg.cli.difference_sheet import strip_of

        console = Console()
        strip = strip_of(pair.keep.raw_path, pair.other.raw_path, self._decoders)
        console.print(Image(strip, width=min(console.width, _WIDEST), height="auto"))


if sys.platform == "win32":

    def _single_keys() -> AbstractContextManager[None]:
        return nullcontext()

    def _typed() -> str:
        try:
            return click.getchar()
        except EOFError:
            return ""

else:
    import termios
    import tty

    @contextmanager
    def _single_keys() -> Iterator[None]:
        """Let the terminal hand over each key at once, from now on, so that none is lost that is typed early."""
        before = termios.tcgetattr(sys.stdin)
        try:
            tty.setcbreak(sys.stdin, termios.TCSANOW)
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)

    def _typed() -> str:
        """Return the next keys, several if they were typed fast; "" at the end."""
        return os.read(sys.stdin.fileno(), 64).decode(errors="replace")


@dataclass(slots=True)
class _Review:
    """Where one is, and what was said so far: with what was said before, by which it is undone."""

    library: "Library"
    pairs: Sequence[_Pair]
    drawing: _Drawing | None
    place: int = 0
    said: int = 0
    _steps: list[tuple[int, bool, Verdict | None]] = field(default_factory=list)
    _typed: list[str] = field(default_factory=list)

    def run(self) -> None:
        while self.place < len(self.pairs):
            pair = self.pairs[self.place]
            self._show(pair)
            match self._key():
                case "q":
                    return
                case "u":
                    self._undo()
                case "n":
                    self._steps.append((self.place, False, None))
                    self.place += 1
                case "S":
                    while self.place < len(self.pairs) and self.pairs[self.place].group is pair.group:
                        self._say(Verdict.SAME)
                case key:
                    self._say(_KEYS[key])

    def _key(self) -> str:
        print_line(_HELP)
        while True:
            while self._typed:
                if (key := self._typed.pop(0)) in {*_KEYS, "S", "n", "u", "q"}:
                    return key
            typed = _typed()
            if not typed:
                return "q"
            if not typed.startswith("\x1b"):  # an arrow or the like
                self._typed.extend(typed)

    def _say(self, verdict: Verdict) -> None:
        pair = self.pairs[self.place]
        before = self.library.set_verdict(pair.keep.image_id, pair.other.image_id, verdict)
        self._steps.append((self.place, True, before))
        self.said += 1
        self.place += 1
        print_line(f"{verdict}: {pair.other.path}")

    def _undo(self) -> None:
        if not self._steps:
            print_line("nothing to undo")
            return
        self.place, was_said, before = self._steps.pop()
        if was_said:
            pair = self.pairs[self.place]
            self.library.set_verdict(pair.keep.image_id, pair.other.image_id, before)
            self.said -= 1
            print_line(f"undone: {pair.other.path}")

    def _show(self, pair: _Pair) -> None:
        print_line("")
        print_line(f"{self.place + 1:,} of {len(self.pairs):,}, group {pair.number:,}")
        for word, photo in (("keep", pair.keep), ("other", pair.other)):
            print_line(f"  {word:<6} {photo.width} x {photo.height} {size(photo.size)}  {photo.path}")
        if self.drawing is not None:
            self.drawing.draw(pair)
