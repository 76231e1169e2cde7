"""The project's own photos, broken ones among them, where they lie beside the checkout."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.command import Imrec, url_of
from e2e.database import assert_no_half_batch, counts, query, row_versions
from support import new_database

from imrec_pg.images.formats import CANDIDATE_EXTENSIONS, extension

FEATURES = ["embedding", "histogram", "average_hash", "difference_hash", "perceptual_hash"]


@pytest.fixture(scope="module")
def stored(shared: Path, template: str, imrec: Imrec) -> Iterator[tuple[Imrec, str, dict[str, Any]]]:
    """Yield the command, its dsn, and what the ingest of all photos counted."""
    with new_database(template, "imrec_template") as dsn:
        run = imrec.on(url_of(dsn))
        yield run, dsn, run("ingest", shared, "--json", code=3).json


def test_every_photo_is_stored_or_recorded(shared: Path, stored: tuple[Imrec, str, dict[str, Any]]) -> None:
    run, dsn, done = stored
    files = {path for path in shared.rglob("*") if path.is_file()}
    photos = {str(path) for path in files if extension(bytes(path)) in CANDIDATE_EXTENSIONS}
    places = {path for (path,) in query(dsn, "SELECT path FROM imrec.file")}
    failures = {path for (path,) in query(dsn, "SELECT path FROM imrec.failure")}
    assert not places & failures
    assert places | failures == photos
    assert all(str(path) in places for path in (shared / "objects").glob("*.jpg"))
    assert done["found"] == len(photos)
    assert done["failed"] == len(failures) == len(run("errors", "--json").json)
    assert done["new"] + done["duplicates"] == len(places)
    assert done["ignored"] == len(files) - len(photos)
    assert_no_half_batch(dsn, ",".join(FEATURES))


def test_a_second_run_changes_nothing(shared: Path, stored: tuple[Imrec, str, dict[str, Any]]) -> None:
    run, dsn, first = stored
    before = row_versions(dsn)
    second = run("ingest", shared, "--json").json
    assert second["unchanged"] == first["found"] - first["failed"]
    assert second["known_failures"] == first["failed"]
    assert second["new"] == second["failed"] == second["completed"] == 0
    assert row_versions(dsn) == before
    assert counts(dsn)["model"] == 1


@pytest.mark.parametrize("feature", FEATURES)
def test_the_eight_orientations_of_a_real_photo_are_each_others_nearest(
    feature: str, shared: Path, stored: tuple[Imrec, str, dict[str, Any]]
) -> None:
    images = sorted((shared / "orientation").glob("Landscape_[1-8].jpg"))
    assert len(images) == 8
    # Landscape_0 shows the same scene and says nothing of an orientation.
    same = {str(path) for path in (shared / "orientation").glob("Landscape_*.jpg")}
    queries = images if feature == "embedding" else images[4:6]
    common = ["-k", "7", "--feature", feature, "--json"]
    for run in stored[0].all([["search", image, *common] for image in queries]):
        assert {n["path"] for n in run.json["neighbours"]} < same
