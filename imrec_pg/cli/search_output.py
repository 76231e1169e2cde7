"""What `imrec-pg search` prints: a table, JSON, CSV, paths, a contact sheet, and how it was answered."""

import csv
import dataclasses
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from imrec_pg.catalogue.tuning import summary
from imrec_pg.cli.common import print_json, say
from imrec_pg.paths import display_path
from imrec_pg.records import Certainty, Feature, Metric
from imrec_pg.search import Answer, FusedAnswer
from imrec_pg.search.answers import FusedNeighbour, Neighbour

_VECTOR = r"\[[-+.,\de]{100,}\]"

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
        sys.stdout.buffer.write(b"".join(n.raw_path + end for n in answer.neighbours))
        sys.stdout.buffer.flush()
    elif answer.neighbours:
        _print_table(answer)


def draw(answer: AnyAnswer, target: Path) -> None:
    """Draw the queries beside the matches into a PNG."""
    from imrec_pg.cli.contact_sheet import Tile, write_contact_sheet

    queries = [
        Tile(q.path, ("not " if q.disliked else "") + _file_name(display_path(q.path)), "")
        for q in answer.queries
    ]
    matches = [Tile(n.raw_path, _file_name(n.path), _caption(answer, n)) for n in answer.neighbours]
    title = f"{answer.feature}, {answer.metric} distance" if isinstance(answer, Answer) else _weights(answer)
    write_contact_sheet(target, title, queries, matches)
    say(f"drawn: {target}")


def explain(answer: AnyAnswer) -> None:
    """Say how the answer was found, and how long each step took."""
    say(f"answer: {how(answer)}")
    for query in answer.queries:
        source = "features from the database" if query.stored else "features extracted now"
        say(f"{'dislike' if query.disliked else 'query'} {display_path(query.path)}: {source}")
    for step, seconds in answer.timings:
        say(f"{step:>8} {seconds * 1000:9.1f} ms")


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
        else {"weights": answer.weights}
    )
    if isinstance(answer, Answer):
        described["tuning"] = answer.tuning and dataclasses.asdict(answer.tuning)
        if answer.plan:
            described["plan"] = answer.plan
    return {
        "queries": [
            {"path": display_path(q.path), "image_id": q.image_id, "stored": q.stored, "disliked": q.disliked}
            for q in answer.queries
        ],
        **described,
        "combine": answer.combine,
        "certainty": answer.certainty,
        "exact": answer.certainty is Certainty.EXACT,
        "seconds": {step: round(seconds, 6) for step, seconds in answer.timings},
        "neighbours": [_row(rank, n) for rank, n in enumerate(_neighbours(answer), start=1)],
    }


def _neighbours(answer: AnyAnswer) -> Sequence[AnyNeighbour]:
    return answer.neighbours


def _row(rank: int, neighbour: AnyNeighbour) -> dict[str, object]:
    if isinstance(neighbour, Neighbour):
        how_near: Mapping[str, object] = {"distance": neighbour.distance}
    else:
        how_near = {"fused": neighbour.fused} | {
            f"{part.feature}_{name}": value
            for part in neighbour.parts
            for name, value in (("rank", part.rank), ("distance", part.distance))
        }
    return {
        "rank": rank,
        **how_near,
        "path": neighbour.path,
        "image_id": neighbour.image_id,
        "copies": neighbour.copies,
        "width": neighbour.width,
        "height": neighbour.height,
        "missing": neighbour.missing,
    }


def _print_csv(answer: AnyAnswer) -> None:
    rows = [_row(rank, n) for rank, n in enumerate(_neighbours(answer), start=1)]
    near = ["distance"] if isinstance(answer, Answer) else ["fused"]
    if isinstance(answer, FusedAnswer):
        near += [f"{feature}_{name}" for feature in answer.weights for name in ("rank", "distance")]
    writer = csv.DictWriter(
        sys.stdout, ["rank", *near, "path", "image_id", "copies", "width", "height", "missing"]
    )
    writer.writeheader()
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
    for rank, n in enumerate(_neighbours(answer), start=1):
        # Text, not a string: a path such as [red].jpg is no markup.
        path = Text(n.path)
        if n.copies > 1:
            path.append(f"  (+{n.copies - 1} more)", style="dim")
        if n.missing:
            path.append("  (missing)", style="dim")
        table.add_row(str(rank), *_cells(answer, n), path)
    # A file or pipe has no width: lines must not be cut or folded there.
    console = Console(width=None if sys.stdout.isatty() else 10_000)
    console.print(table, crop=False)


def _cells(answer: AnyAnswer, neighbour: AnyNeighbour) -> list[str]:
    if isinstance(neighbour, Neighbour):
        assert isinstance(answer, Answer)
        return [_distance(answer.metric, neighbour.distance)]
    # Number so and so of all by this feature, and how far away.
    return [
        f"{'-' if part.rank is None else f'{part.rank}.'} {_distance_by(part.feature, part.distance)}"
        for part in neighbour.parts
    ]


def _caption(answer: AnyAnswer, neighbour: AnyNeighbour) -> str:
    if isinstance(neighbour, Neighbour):
        assert isinstance(answer, Answer)
        return f"{answer.metric} {_distance(answer.metric, neighbour.distance)}"
    ranks = ("-" if part.rank is None else str(part.rank) for part in neighbour.parts)
    return f"ranks {', '.join(ranks)}"


def _weights(answer: FusedAnswer) -> str:
    return "fused: " + ", ".join(f"{feature} {weight:g}" for feature, weight in answer.weights.items())


def _distance_by(feature: Feature, distance: float) -> str:
    hashed = feature in (Feature.AVERAGE_HASH, Feature.DIFFERENCE_HASH)
    return _distance(Metric.HAMMING if hashed else Metric.COSINE, distance)


def _distance(metric: Metric, distance: float) -> str:
    # Bits are whole numbers, but for the mean of several queries.
    return f"{distance:g}" if metric is Metric.HAMMING else f"{distance:.4f}"


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]
