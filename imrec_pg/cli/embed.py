"""imrec-pg embed."""

import json
import os
from pathlib import Path

import click

from imrec_pg.cli.common import PATH, EnumChoice, invocation, json_option, model_options, print_json
from imrec_pg.paths import display_path
from imrec_pg.records import Feature


@click.command(
    "embed",
    epilog="""\b
Examples:
  imrec-pg embed a.jpg
  imrec-pg embed a.jpg --feature difference_hash
  imrec-pg embed *.jpg --json | jq '.[].histogram'

\b
In psql, for a file that is not stored:
  \\set q `imrec-pg embed a.jpg`
  SELECT * FROM imrec.search(:'q', k => 10);""",
)
@click.argument("images", nargs=-1, required=True, type=PATH, metavar="IMAGE...")
@click.option(
    "--feature",
    type=EnumChoice(Feature),
    default="embedding",
    show_default=True,
    help="What to print.",
)
@model_options
@json_option
def command(
    *,
    images: tuple[Path, ...],
    feature: Feature,
    weights: Path | None,
    allow_other_weights: bool,
    device: str,
    as_json: bool,
) -> None:
    """Print features of image files as PostgreSQL reads them, one line per image; store nothing.

    A vector is printed as [0.1,0.2,...], a hash as 64 digits 0 and 1. --json prints all features of each
    image. No database is needed.
    """
    from imrec_pg.decoding import Decoders
    from imrec_pg.features.model import EmbedderSource
    from imrec_pg.search import extract_features

    source = EmbedderSource(
        invocation().settings(weights),
        device="cpu" if device == "auto" else device,
        allow_other=allow_other_weights,
    )
    rows = []
    with Decoders() as decoders:
        for image in images:
            if not as_json:
                print(extract_features(image, decoders, source, (feature,)).literal(feature))
                continue
            features = extract_features(image, decoders, source, tuple(Feature))
            row: dict[str, object] = {"path": display_path(os.fsencode(image))}
            for name in Feature:
                literal = features.literal(name)
                row[name] = json.loads(literal) if literal.startswith("[") else literal
            rows.append(row)
    if as_json:
        print_json(rows)
