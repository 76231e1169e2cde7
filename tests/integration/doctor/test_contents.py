"""What is stored."""

from dataclasses import replace
from uuid import uuid4

import pytest
from integration.doctor.findings import ROWS, bad, findings, fix, one, run
from support import AddImage

from imrec_pg.analysis.reducing import reduce_all
from imrec_pg.catalogue.model import claim_model
from imrec_pg.db.connection import Connection
from imrec_pg.doctor import Level, contents
from imrec_pg.ingest.write import write_batch
from imrec_pg.records import FailedFile, FoundFile, ModelIdentity
from imrec_pg.settings import Settings


def test_missing_features(settings: Settings, dsn: str, add_image: AddImage) -> None:
    for name in ("a.jpg", "b.jpg"):
        add_image(name)
    run(dsn, "DELETE FROM imrec.histogram WHERE image_id = '00000000-0000-0000-0000-000000000001'")
    finding = one(settings, "features", Level.WARNING, "1 of 2 images lack their histogram")
    assert "--features histogram" in finding.fix
    run(dsn, "TRUNCATE imrec.histogram")
    one(settings, "features", Level.NOTICE, "none of 2 images has its histogram")


def test_images_that_are_in_no_file(settings: Settings, dsn: str, add_image: AddImage) -> None:
    for name in ("a.jpg", "b.jpg"):
        add_image(name)
    run(dsn, "DELETE FROM imrec.file WHERE path = '/photos/a.jpg'")
    finding = one(settings, "files", Level.WARNING, "1 of all 2 rows of imrec.image have no file")
    fix(settings, replace(finding, fix=finding.fix.rpartition(" (")[0]))


def test_embeddings_of_no_model(settings: Settings, conn: Connection, add_image: AddImage) -> None:
    add_image("a.jpg")
    assert "TRUNCATE" in one(settings, "model", Level.WARNING, "no model is recorded").fix
    claim_model(conn, ModelIdentity("resnet18", "aa"))
    assert bad(settings, "model") == []


def test_vectors_without_length(settings: Settings, dsn: str, add_image: AddImage) -> None:
    add_image("a.jpg")
    add_image("b.jpg")
    run(
        dsn,
        "ALTER TABLE imrec.embedding DROP CONSTRAINT embedding_norm_check",
        "UPDATE imrec.embedding SET embedding = array_fill(0, ARRAY[512])::vector "
        "WHERE image_id = '00000000-0000-0000-0000-000000000001'",
    )
    finding = one(settings, "vectors", Level.ERROR, "1 of all 2 rows of imrec.embedding have a length of")
    fix(settings, replace(finding, fix=finding.fix.partition(";")[0]))


def test_vectors_that_were_not_reduced(settings: Settings, conn: Connection, add_image: AddImage) -> None:
    stored = [add_image(f"{n}.jpg") for n in range(3)]
    reduce_all(conn, least=1)
    assert {finding.level for finding in findings(settings, "reduced-vectors")} == {Level.OK}
    conn.execute("DELETE FROM imrec.embedding_reduced WHERE image_id = %s", (stored[1].image_id,))
    finding = one(
        settings, "reduced-vectors", Level.ERROR, "1 of all 3 rows of imrec.embedding were written without"
    )
    fix(settings, replace(finding, fix=finding.fix.partition(";")[0]))
    reduce_all(conn, least=1)
    assert {finding.level for finding in findings(settings, "reduced-vectors")} == {Level.OK}


def test_of_large_tables_a_sample_is_looked_at_unless_all_is_asked_for(
    large: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "_SAMPLE", 600)
    for finding in findings(large, "vectors"):
        seen = int(finding.what.partition(" ")[0].replace(",", ""))
        assert 0 < seen < ROWS / 2
        assert "a sample" in finding.what
    assert all("all 6,000 rows" in finding.what for finding in findings(large, "vectors", full=True))


def test_files_that_could_not_be_read(settings: Settings, conn: Connection, add_image: AddImage) -> None:
    add_image("a.jpg")
    (root,) = conn.execute("SELECT root_id FROM imrec.root").fetchone() or ()
    file = FoundFile(root, uuid4(), b"b.jpg", b"/photos/b.jpg", 9, 1)  # type: ignore[arg-type]
    write_batch(conn, [], [FailedFile(file, None, "Unreadable", "Permission denied")])
    assert "imrec-pg errors" in one(settings, "failures", Level.NOTICE, "1 files could not be read").fix
