"""imrec-pg duplicates list."""

import csv
import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from imrec_pg.analysis.duplicates import DuplicateKind
from imrec_pg.cli.common import (
    EnumChoice,
    database_options,
    invocation,
    json_option,
    print_json,
    print_line,
    say,
    size,
)
from imrec_pg.paths import terminal_text

if TYPE_CHECKING:
    from imrec_pg.analysis.duplicates import DuplicateGroup, DuplicatePhoto

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
        groups = library.duplicates(kind)
    groups = [group for group in groups if not (no_bursts and group.kind is DuplicateKind.BURST)]
    if by == "closeness":
        groups.sort(key=lambda group: (group.farthest, group.group_id))
    if as_json:
        print_json([_as_dict(group) for group in groups])
    elif as_csv:
        _print_csv(groups)
    elif as_paths:
        _print_paths(groups, null=null)
    else:
        _print_groups(groups)


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
