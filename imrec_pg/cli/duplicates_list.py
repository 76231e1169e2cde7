"""imrec-pg duplicates list."""

import csv
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imrec_pg.analysis.duplicates import DuplicateKind
from imrec_pg.cli.common import (
    PATH,
    EnumChoice,
    database_options,
    invocation,
    json_option,
    print_json,
    print_line,
    say,
    size,
)
from imrec_pg.cli.map_options import force_option, kept_by
from imrec_pg.outputs import shown as shown_path
from imrec_pg.paths import terminal_text

if TYPE_CHECKING:
    from imrec_pg.analysis.duplicates import DuplicateGroup, DuplicatePhoto
    from imrec_pg.library import Library

_COLUMNS = (
    *(
        "group_id",
        "kind",
        "keeper",
        "path",
        "image_id",
        "file_id",
        "copies",
        "size",
        "width",
        "height",
        "format",
    ),
    *("pair_kind", "difference_bits", "perceptual_bits", "embedding", "histogram"),
)


@click.command(
    "list",
    epilog="""\b
Examples:
  imrec-pg duplicates list
  imrec-pg duplicates list --kind exact --json
  imrec-pg duplicates list --by closeness --no-bursts
  imrec-pg duplicates list --kind copy --plot copies.png
  imrec-pg duplicates list --paths -0 | xargs -0 ls -l      all but the one to keep of each group""",
)
@click.option("--kind", type=EnumChoice(DuplicateKind), help="Only exact copies, near copies or bursts.")
@click.option("--no-bursts", is_flag=True, help="Leave out shots seconds apart.")
@click.option(
    "--by",
    type=click.Choice(["savings", "closeness"]),
    default="savings",
    show_default=True,
    help="What comes first: what takes most space, or what is most alike.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--paths", "as_paths", is_flag=True, help="Print the paths of all but the first of each group.")
@click.option("-0", "--null", "null", is_flag=True, help="With --paths: end each with NUL, for xargs -0.")
@click.option(
    "--plot",
    type=PATH,
    metavar="FILE",
    help="Also draw each beside the one to keep, and what is different (.png, .jpg, .webp, .pdf).",
)
@force_option
@json_option
@database_options
def command(
    *,
    kind: DuplicateKind | None,
    no_bursts: bool,
    by: str,
    as_csv: bool,
    as_paths: bool,
    null: bool,
    plot: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """List the groups of duplicates, the photo to keep first in each.

    Each other photo shows in how many bits of its two hashes it differs from that one, and the cosine distance of
    its embedding.
    """
    if as_json + as_csv + as_paths > 1:
        raise click.UsageError("--json, --csv and --paths exclude each other")
    if null and not as_paths:
        raise click.UsageError("-0 goes with --paths")
    with invocation().library() as library:
        target = None if plot is None else _Target(plot, library, force=force)
        groups = library.duplicates(kind)
    groups = [group for group in groups if not (no_bursts and group.kind is DuplicateKind.BURST)]
    if by == "closeness":
        groups.sort(key=lambda group: (group.farthest, group.group_id))
    if target is not None:
        target.draw(groups)
    if as_json:
        print_json([_as_dict(group) for group in groups])
    elif as_csv:
        _print_csv(groups)
    elif as_paths:
        _print_paths(groups, null=null)
    else:
        _print_groups(groups)


class _Target:
    """The picture to write."""

    def __init__(self, file: Path, library: "Library", *, force: bool) -> None:
        from imrec_pg.cli.contact_sheet import check_target

        self._file = file
        self._replaced = check_target(file, force=force, kept=kept_by(library))

    def draw(self, groups: Sequence["DuplicateGroup"]) -> None:
        """Draw near copies and bursts: those of the same bytes have no difference."""
        from imrec_pg.cli.contact_sheet import Tile
        from imrec_pg.cli.difference_sheet import MAX_PAIRS, Pair, write_difference_sheet

        def tile(photo: "DuplicatePhoto", detail: str) -> Tile:
            return Tile(photo.raw_path, photo.path.rpartition("/")[2], detail)

        pairs = [
            Pair(tile(group.photos[0], "keep"), tile(photo, _distance(group, photo)))
            for group in groups
            if group.kind is not DuplicateKind.EXACT
            for photo in group.photos[1:]
        ]
        if not pairs:
            say("no near copies are known: nothing was drawn")
            return
        first = f"the first {MAX_PAIRS:,} of " if len(pairs) > MAX_PAIRS else ""
        title = f"Pairs of photos that are alike: {first}{len(pairs):,}"
        write_difference_sheet(self._file, title, pairs[:MAX_PAIRS], self._replaced)
        say(f"wrote {shown_path(self._file)}: {title}")


def _as_dict(group: "DuplicateGroup") -> dict[str, object]:
    return {
        "group_id": group.group_id,
        "kind": group.kind,
        "savings": group.savings,
        "photos": [_photo(photo) for photo in group.photos],
    }


def _photo(photo: "DuplicatePhoto") -> dict[str, object]:
    described = dataclasses.asdict(photo)
    del described["raw_path"]
    return described


def _print_csv(groups: Sequence["DuplicateGroup"]) -> None:
    writer = csv.DictWriter(sys.stdout, _COLUMNS)
    writer.writeheader()
    for group in groups:
        for photo in group.photos:
            row = {"group_id": group.group_id, "kind": group.kind, **_photo(photo)}
            if sys.stdout.isatty():
                row["path"] = terminal_text(photo.path)
            writer.writerow(row)


def _print_paths(groups: Sequence["DuplicateGroup"], *, null: bool) -> None:
    others = [photo for group in groups for photo in group.photos[1:]]
    if sys.stdout.isatty():
        for photo in others:
            print_line(photo.path)
        return
    end = b"\0" if null else b"\n"
    sys.stdout.buffer.write(b"".join(photo.raw_path + end for photo in others))
    sys.stdout.buffer.flush()


def _print_groups(groups: Sequence["DuplicateGroup"]) -> None:
    if not groups:
        say("no duplicates are known: imrec-pg duplicates find looks for near copies")
    for group in groups:
        print_line(f"{group.kind}  {size(group.savings)}  {group.group_id}")
        for photo in group.photos:
            mark = "keep" if photo.keeper else _distance(group, photo)
            copies = f"  (+{photo.copies - 1} more)" if photo.copies > 1 else ""
            print_line(
                f"  {mark:<16} {photo.width} x {photo.height} {size(photo.size)}  {photo.path}{copies}"
            )


def _distance(group: "DuplicateGroup", photo: "DuplicatePhoto") -> str:
    if group.kind is DuplicateKind.EXACT:
        return "same bytes"
    if photo.difference_bits is None or photo.perceptual_bits is None or photo.embedding is None:
        return "said to be same"
    return f"{photo.difference_bits}+{photo.perceptual_bits} bits {photo.embedding:.3f}"
