"""HEIC, AVIF and camera raws: stored, and found again by copies that are decoded anew."""

from pathlib import Path

import numpy as np
import pytest
from dng import dng
from e2e.command import Imrec
from e2e.photos import GARBAGE, save, scene
from PIL import features

pillow_heif = pytest.importorskip("pillow_heif")
pytest.importorskip("rawpy")

FREE_BOX = b"\0\0\0\x08free"  # one more at the end changes the bytes and nothing else


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_a_query_in_the_main_process_has_the_features_that_ingest_stored(
    run: Imrec, folder: Path, tmp_path: Path
) -> None:
    pillow_heif.register_heif_opener()
    save(folder / "a.heic", scene(1))
    save(folder / "b.avif", scene(2))
    linear = (np.asarray(scene(3), dtype=np.float64) / 255) ** 2.2
    (folder / "c.dng").write_bytes(dng(linear))
    save(folder / "d.jpg", scene(4))
    (folder / "broken.heic").write_bytes((folder / "a.heic").read_bytes()[:500])
    (folder / "broken.nef").write_bytes(GARBAGE)
    done = run(
        "ingest", folder, "--features", "histogram,average_hash,difference_hash", "--json", code=3
    ).json
    assert (done["new"], done["failed"]) == (4, 2)
    for name in ("a.heic", "b.avif", "c.dng"):
        copy = tmp_path / name
        copy.write_bytes((folder / name).read_bytes() + FREE_BOX)
        nearest = run("search", copy, "--feature", "histogram", "-k", "1", "--json").json["neighbours"][0]
        assert nearest["path"] == str(folder / name)
        assert nearest["distance"] == pytest.approx(0, abs=1e-12)
    formats = run("psql", "-At", "-c", "SELECT format FROM imrec.image ORDER BY format").out.split()
    assert formats == ["AVIF", "DNG", "HEIF", "JPEG"]
