"""imrec-pg status."""

import dataclasses
from importlib.metadata import version
from typing import TYPE_CHECKING

import click

from imrec_pg.cli.common import database_options, invocation, json_option, print_json, print_line, size
from imrec_pg.cli.map_options import staleness

if TYPE_CHECKING:
    from imrec_pg.catalogue.roots import RootState
    from imrec_pg.catalogue.status import Analysed, Status


@click.command(
    "status",
    epilog="""\b
Examples:
  imrec-pg status
  imrec-pg status --json | jq .images""",
)
@json_option
@database_options
def command(*, as_json: bool) -> None:
    """Show what is stored, lacking features, missing files, indexes, sizes and versions."""
    with invocation().library() as library:
        status = library.status()
    if as_json:
        print_json(dataclasses.asdict(status) | {"imrec_pg_version": version("imrec-pg")})
        return
    for name, value in _lines(status):
        print_line(f"{name:<10} {value}")


def _root(root: "RootState") -> str:
    from imrec_pg.cli.root import described

    return described(root) if root.name == root.path else f"{root.name}: {described(root)}"


def _analysed(one: "Analysed") -> str:
    where = "" if one.dims is None else f" in {one.dims} dimensions"
    what = f"by {one.feature}{where}, of {one.images:,} photos"
    stale = staleness(one.later, one.lacking, one.images)
    remake = "cluster build" if one.kind == "clusters" and one.dims is None else "map build"
    return f"{what}{stale}: imrec-pg {remake}" if stale else what


def _lines(status: "Status") -> list[tuple[str, str]]:
    from imrec_pg.catalogue.tuning import summary

    lines = [
        ("images", f"{status.images:,} in {status.files:,} files ({size(status.photo_size)})"),
    ]
    lines += [("" if number else "roots", _root(root)) for number, root in enumerate(status.roots)]
    if not status.roots:
        lines.append(("roots", "none: imrec-pg ingest FOLDER"))
    lacking = [f"{name} {count:,}" for name, count in status.lacking.items() if count]
    lines.append(("lacking", ", ".join(lacking) + ": run ingest again" if lacking else "no feature"))
    outdated = [f"{name} {count:,}" for name, count in status.outdated.items()]
    if outdated:
        lines.append(("outdated", ", ".join(outdated) + ": imrec-pg ingest --refresh"))
    if status.missing_files:
        missing = f"{status.missing_files:,} files: imrec-pg errors --missing, imrec-pg prune"
        lines.append(("missing", missing))
    classes = ", ".join(f"{name} {number:,}" for name, number in status.failure_classes.items())
    failures = f"{status.failures:,} files ({classes}): imrec-pg errors" if status.failures else "none"
    lines.append(("failures", failures))
    for one in status.running:
        since = one.started_at.astimezone().strftime("%Y-%m-%d %H:%M")
        lines.append(
            (
                "running",
                f"ingest on {one.host}, process {one.pid}, since {since}: {one.files:,} files claimed",
            )
        )
    tunings = {(tuning.feature, tuning.metric): tuning for tuning in status.tunings}
    for state in status.indexes:
        if state.name:
            broken = "" if state.valid else ", incomplete: imrec-pg index build"
            lines.append(("index", f"{state.feature} {state.metric} (HNSW, {size(state.size)}{broken})"))
            if state.valid:
                lines.append(("", f"approximate, {summary(tunings.get((state.feature, state.metric)))}"))
    if not any(state.name for state in status.indexes):
        lines.append(("index", "none: every search compares with all photos"))
    lines += [("clusters" if one.kind == "clusters" else "map", _analysed(one)) for one in status.analysed]
    model = status.model
    lines.append(
        (
            "model",
            f"{model.name} {model.weights_sha256[:12]}" if model else "none yet",
        )
    )
    lines.append(("database", size(status.database_size)))
    lines.append(
        (
            "versions",
            (
                f"imrec-pg {version('imrec-pg')}, schema {status.schema_version}, "
                f"PostgreSQL {status.postgres_version}, pgvector {status.pgvector_version}"
            ),
        )
    )
    return lines
