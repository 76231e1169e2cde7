"""imrec-pg map export."""

from pathlib import Path

import click

from imrec_pg import outputs
from imrec_pg.cli.common import PATH, database_options, invocation, say, size
from imrec_pg.cli.map_options import dims_option, feature_option, force_option, kept_by, seed_option
from imrec_pg.cli.progress import steps
from imrec_pg.errors import ImrecError, UsageError
from imrec_pg.outputs import shown as shown_path
from imrec_pg.records import Feature


@click.command(
    epilog="""\b
Examples:
  imrec-pg map export --html map.html
  imrec-pg map export --html map.html --dims 2 --sample 50000 --thumbnails 500"""
)
@click.option("--html", "file", type=PATH, required=True, metavar="FILE", help="The page to write (.html).")
@feature_option
@dims_option
@click.option("--sample", type=click.IntRange(1), help="At most so many photos, chosen by chance.")
@click.option(
    "--thumbnails",
    type=click.IntRange(0),
    default=3000,
    show_default=True,
    help="At most so many pictures, spread over the map, and 20 MB of them; of the others the path is shown.",
)
@seed_option
@force_option
@database_options
def export(
    *,
    file: Path,
    feature: Feature,
    dims: int | None,
    sample: int | None,
    thumbnails: int,
    seed: int,
    force: bool,
) -> None:
    """Write a map as one page, which turns in space and shows the photo under the pointer.

    The page needs no network and no other file, and holds paths and small pictures of your photos: whoever
    gets it sees these.
    """
    from imrec_pg.pictures.page import page_of

    if file.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"{shown_path(file)}: the page must end in .html")
    with invocation().library() as library:
        target = outputs.place(file)
        replaced = outputs.check(target, "a page", _is_page, force=force, kept=kept_by(library))
        shown = library.shown_map(feature, dims=dims)
        with steps("page", unit=" photos") as show_step:
            page, written = page_of(
                shown, sample, thumbnails, seed, lambda done, total: show_step("thumbnails", done, total)
            )
        try:
            with outputs.new_file(target, replaced) as out:
                out.write(page)
        except OSError as error:
            raise ImrecError(f"{shown_path(file)} could not be written: {error.strerror or error}") from error
    say(
        f"wrote {shown_path(file)} ({size(written.size)}): {written.photos:,} photos, "
        f"{written.pictures:,} of them with a picture"
    )


def _is_page(path: Path) -> bool:
    return outputs.is_marked(path, (b"<!DOCTYPE html>",), b"<!-- Written by imrec-pg map export --html -->")
