"""Decoders that die or never come back: each costs its one file."""

from pathlib import Path

from e2e.database import query
from e2e.photos import save_scenes
from faults.checks import check_batches, check_end
from faults.figures import Figures
from faults.ingester import Orders
from faults.photos import make_folder
from faults.running import started


def test_a_decoder_that_dies_or_hangs_costs_one_file(database: str, tmp_path: Path, figures: Figures) -> None:
    folder = make_folder(tmp_path / "photos", 40)
    for number, fault in enumerate(("deadly", "hanging")):
        save_scenes(folder / fault, [number])
    with started(Orders((str(folder),), str(tmp_path / "log"), database, decode_limit_s=1)) as ingester:
        counts = ingester.end()
    figures.injected("decoder that dies")
    figures.injected("decoder that hangs")
    assert counts["done"] == counts["found"]
    classes = query(
        database, "SELECT error_class FROM imrec.failure WHERE path ~ 'deadly|hanging' ORDER BY path"
    )
    assert classes == [("DecoderCrashed",), ("DecoderTimeout",)]
    check_batches(figures, database, ingester.batches)
    check_end(figures, database, [folder])
