"""What `imrec-pg search` prints: a table, JSON, CSV, paths, a contact sheet, and how it was answered."""

import csv
import dataclasses
import re
import sys
from pathlib import Path
from typing import TypeAlias

from imrec_pg.catalogue.tuning import summary
from imrec_pg.cli.common import print_json, print_line, say
from imrec_pg.outputs import Kept, shown
from imrec_pg.paths import display_path, terminal_text
from imrec_pg.records import Certainty, Feature, Metric
from imrec_pg.search import Answer, FusedAnswer, FusedNeighbour, Neighbour

_VECTOR = r"\[[-+.,\de]{100,}\]"

_MANY = 10  # from here on without decimals

AnyAnswer: TypeAlias = Answer | FusedAnswer
AnyNeighbour: TypeAlias = Neighbour | FusedNeighbour


def print_answer(answer: AnyAnswer, *, as_json: bool, as_csv: bool, as_paths: bool, null: bool) -> None:
    """Print the neighbours to stdout."""
    if as_json:
        print_json(_as_dict(answer))
    elif as_csv:
        _print_csv(answer)
    elif as_paths or null:
        end = b"\0" if null else b"\n"
        if as_paths and sys.stdout.isatty():
            for n in answer.neighbours:
                print_line(display_path(n.raw_path))
        else:
            sys.stdout.buffer.write(b"".join(n.raw_path + end for n in answer.neighbours))
            sys.stdout.buffer.flush()
    elif answer.neighbours:
        _print_table(answer)


def draw(answer: AnyAnswer, target: Path, *, force: bool, kept: Kept) -> None:
    """Draw the queries beside the matches into a picture."""
    from imrec_pg.cli.contact_sheet import Tile, write_contact_sheet

    queries = [
        Tile(q.path, ("not " if q.disliked else "") + _file_name(q.name), "")
        for q in answer.queries
        if q.path is not None
    ]
    matches = [Tile(n.raw_path, _file_name(n.path), _caption(answer, n)) for n in answer.neighbours]
    title = f"{answer.feature}, {answer.metric} distance" if isinstance(answer, Answer) else _weights(answer)
    write_contact_sheet(target, title, queries, matches, force=force, kept=kept)
    say(f"drawn: {shown(target)}")


def explain(answer: AnyAnswer) -> None:
    """Say how the answer was found, and how long each step took."""
    say(f"certainty: {how(answer)}")
    for query in answer.queries:
        source = "features from the database" if query.stored else "features extracted now"
        say(f"{'dislike' if query.disliked else 'query'} {query.name}: {source}")
    for step, seconds in answer.timings:
        say(f"{step:>8} {seconds * 1000:9.1f} ms")


def say_evidence(answer: AnyAnswer) -> None:
    """Say in words what each feature has to say of each photo of a fused answer."""
    for neighbour in answer.neighbours if isinstance(answer, FusedAnswer) else ():
        say(f"{neighbour.rank}: {neighbour.path}")
        for feature, said in neighbour.features.items():
            say(f"    {feature} {_distance_in_words(feature, said.distance)}{_odds(said.evidence)}")


def _distance_in_words(feature: Feature, distance: float) -> str:
    shown = _distance_by(feature, distance)
    return f"{shown} of 64 bits" if feature.is_hash else f"at {shown}"


def _odds(evidence: float | None) -> str:
    if evidence is None:
        return ""
    ratio = 10 ** (abs(evidence) / 10)
    odds = f"{ratio:,.0f}" if ratio >= _MANY else f"{ratio:.1f}"
    than = "more" if evidence >= 0 else "less"
    return f": {odds} times {than} likely of an altered copy than by chance ({evidence:+.1f} decibans)"


def print_plan(answer: AnyAnswer) -> None:
    """Print PostgreSQL's plan, when it was asked for."""
    for line in answer.plan if isinstance(answer, Answer) else ():
        # 512 numbers tell nobody anything.
        say(f"  {re.sub(_VECTOR, '[…]', line)}")


def how(answer: AnyAnswer) -> str:
    """Return what the answer is worth."""
    if answer.certainty is Certainty.EXACT:
        return "exact, every photo compared"
    if isinstance(answer, FusedAnswer):
        return f"{answer.certainty}, by indexes"
    return f"{answer.certainty}, from the index {answer.index}, {summary(answer.tuning)}"


def _as_dict(answer: AnyAnswer) -> dict[str, object]:
    described: dict[str, object] = (
        {"feature": answer.feature, "metric": answer.metric, "index": answer.index}
        if isinstance(answer, Answer)
        else {"weights": answer.weights, "fusion": answer.fusion}
    )
    if isinstance(answer, Answer):
        described["tuning"] = answer.tuning and dataclasses.asdict(answer.tuning)
        if answer.plan:
            described["plan"] = answer.plan
    return {
        "queries": [
            {"path": q.name, "image_id": q.image_id, "stored": q.stored, "disliked": q.disliked}
            for q in answer.queries
        ],
        **described,
        "combine": answer.combine,
        "certainty": answer.certainty,
        "exact": answer.certainty is Certainty.EXACT,
        "seconds": {step: round(seconds, 6) for step, seconds in answer.timings},
        "neighbours": answer.to_dicts(),
    }


def _print_csv(answer: AnyAnswer) -> None:
    rows = answer.to_dicts()
    for row in rows:
        for feature, said in row.pop("features", {}).items():
            row |= {f"{feature}_{name}": value for name, value in said.items()}
    near = ["distance"] if isinstance(answer, Answer) else ["fused"]
    if isinstance(answer, FusedAnswer):
        near += [
            f"{feature}_{name}" for feature in answer.weights for name in ("rank", "distance", "evidence")
        ]
    writer = csv.DictWriter(
        sys.stdout,
        ["rank", *near, "path", "copies", "image_id", "file_id", "width", "height", "missing"],
    )
    writer.writeheader()
    if sys.stdout.isatty():
        rows = [
            {name: terminal_text(v) if isinstance(v, str) else v for name, v in row.items()} for row in rows
        ]
    writer.writerows(rows)


def _print_table(answer: AnyAnswer) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", style="dim")
    columns = [f"{answer.metric}"] if isinstance(answer, Answer) else [str(f) for f in answer.weights]
    for column in columns:
        table.add_column(column, justify="right")
    table.add_column("path", overflow="fold")
    for n in answer.neighbours:
        # Text, not a string: a path such as [red].jpg is no markup.
        path = Text(terminal_text(n.path))
        if n.copies > 1:
            path.append(f"  (+{n.copies - 1} more)", style="dim")
        if n.missing:
            path.append("  (missing)", style="dim")
        table.add_row(str(n.rank), *_cells(answer, n), path)
    # A file or pipe has no width: lines must not be cut or folded there.
    console = Console(width=None if sys.stdout.isatty() else 10_000)
    console.print(table, crop=False)


def _cells(answer: AnyAnswer, neighbour: AnyNeighbour) -> list[str]:
    if isinstance(neighbour, Neighbour):
        assert isinstance(answer, Answer)
        return [_distance(answer.metric, neighbour.distance)]
    # Number so and so of all by this feature, and how far away.
    return [
        f"{'-' if said.rank is None else f'{said.rank}.'} {_distance_by(feature, said.distance)}"
        + ("" if said.evidence is None else f" ({said.evidence:+.0f})")
        for feature, said in neighbour.features.items()
    ]


def _caption(answer: AnyAnswer, neighbour: AnyNeighbour) -> str:
    if isinstance(neighbour, Neighbour):
        assert isinstance(answer, Answer)
        return f"{answer.metric} {_distance(answer.metric, neighbour.distance)}"
    ranks = ("-" if said.rank is None else str(said.rank) for said in neighbour.features.values())
    return f"ranks {', '.join(ranks)}"


def _weights(answer: FusedAnswer) -> str:
    return "fused: " + ", ".join(f"{feature} {weight:g}" for feature, weight in answer.weights.items())


def _distance_by(feature: Feature, distance: float) -> str:
    return _distance(Metric.HAMMING if feature.is_hash else Metric.COSINE, distance)


def _distance(metric: Metric, distance: float) -> str:
    # Bits are whole numbers, but for the mean of several queries.
    return f"{distance:g}" if metric is Metric.HAMMING else f"{distance:.4f}"


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]
