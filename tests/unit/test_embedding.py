import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from imrec_pg import settings
from imrec_pg.errors import UsageError, WeightsError
from imrec_pg.features.embedding import Embedder, crop, import_torchvision
from imrec_pg.features.weights import Weights, resolve
from imrec_pg.records import ModelIdentity, RgbArray

DATA = Path(__file__).parent / "data"
PEAK_RSS = """
import resource, sys
from PIL import Image
from imrec_pg.features.embedding import crop
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
crop(Image.new("RGB", ({width}, {height}))).shape
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(grown // (1024 if sys.platform == "linux" else 1024 * 1024))
"""

Forward = Callable[[Image.Image], NDArray[np.float32]]


@pytest.fixture(scope="session")
def real_weights() -> Weights:
    # Fails with a text that names `imrec-pg weights` where the set-up command was not run.
    return resolve(settings.load(), fetch=False)


@pytest.fixture(scope="session")
def embedder(real_weights: Weights) -> Embedder:
    return Embedder(real_weights, device="cpu")


@pytest.fixture(scope="session")
def plain_pipeline(real_weights: Weights) -> Forward:
    """Torchvision's own transforms and model, one image at a time."""
    torchvision = import_torchvision()
    transforms = torchvision.transforms
    preprocess = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )
    model = torchvision.models.resnet18(weights=None)
    state = {name: torch.tensor(array) for name, array in real_weights.tensors.items()}
    assert model.load_state_dict(state, strict=False).unexpected_keys == []
    model.fc = torch.nn.Identity()
    model.eval()

    def forward(image: Image.Image) -> NDArray[np.float32]:
        with torch.no_grad():
            row: NDArray[np.float32] = model(preprocess(image)[None])[0].numpy()
        return row

    return forward


def noise(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width * 10_007 + height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def run_python(script: str, path: Path | None = None) -> str:
    prefix = f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else ""
    command = [sys.executable, "-c", prefix + script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_module_leaves_torch_out() -> None:
    script = "import sys, imrec_pg.features.embedding; print({'torch', 'torchvision'} & sys.modules.keys())"
    assert run_python(script) == "set()"


@pytest.mark.parametrize(
    "size",
    [
        *[(1, 1), (2, 1), (1, 3), (7, 5), (100, 223), (223, 224), (224, 224), (255, 256), (256, 256)],
        *[
            (256, 257),
            (259, 256),
            (301, 200),
            (333, 1000),
            (1000, 333),
            (641, 479),
            (1023, 769),
            (2048, 1365),
        ],
        *[(600, 5), (5, 600), (4032, 3024)],
    ],
)
def test_crop_equals_torchvision_bit_for_bit(size: tuple[int, int]) -> None:
    transforms = import_torchvision().transforms
    image = noise(*size)
    expected = np.asarray(transforms.CenterCrop(224)(transforms.Resize(256)(image)))
    np.testing.assert_array_equal(crop(image), expected)


@pytest.mark.parametrize("size", [(2, 600), (600, 2), (3, 790), (1, 257), (80_000, 300)])
def test_crop_of_a_strip_differs_from_torchvision_by_1_at_most(size: tuple[int, int]) -> None:
    transforms = import_torchvision().transforms
    image = noise(*size)
    expected = np.asarray(transforms.CenterCrop(224)(transforms.Resize(256)(image)))
    np.testing.assert_allclose(crop(image).astype(int), expected.astype(int), rtol=0, atol=1)


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (60_000, 2)])
def test_crop_of_an_extreme_strip_takes_little_memory(size: tuple[int, int]) -> None:
    """The whole resized image would take 1.3 GB for 1x5000."""
    assert int(run_python(PEAK_RSS.format(width=size[0], height=size[1]))) < 50


def test_crop_is_uint8_contiguous_and_owns_its_pixels() -> None:
    pixels = crop(noise(300, 400))
    assert pixels.dtype == np.uint8
    assert pixels.shape == (224, 224, 3)
    assert pixels.flags.c_contiguous
    assert pixels.flags.owndata


def test_embedding_equals_the_frozen_reference(embedder: Embedder) -> None:
    reference = json.loads((DATA / "embedding_reference.json").read_text())
    y, x, c = np.ogrid[: reference["height"], : reference["width"], :3]
    pixels = (x * (c + 1) * 3 // 4 + y * (5 - c) // 3 + x * y // 97) % 256
    (row,) = embedder.embed([crop(Image.fromarray(pixels.astype(np.uint8)))])
    np.testing.assert_allclose(row[:8], reference["first_8"], rtol=0, atol=2e-4)
    assert np.linalg.norm(row) == pytest.approx(reference["norm"], rel=1e-4)
    assert row.sum() == pytest.approx(reference["sum"], rel=1e-4)
    assert row.argmax() == reference["argmax"]


def test_embedding_equals_the_plain_pipeline(embedder: Embedder, plain_pipeline: Forward) -> None:
    images = [noise(300, 260), noise(31, 17), Image.new("RGB", (500, 400), (255, 255, 255))]
    images.append(Image.linear_gradient("L").convert("RGB"))
    rows = embedder.embed([crop(image) for image in images])
    for row, image in zip(rows, images, strict=True):
        expected = plain_pipeline(image)
        assert np.linalg.norm(row - expected) < 1e-5 * np.linalg.norm(expected)


def test_embedding_depends_on_its_batch_by_rounding_only(embedder: Embedder) -> None:
    crops = [crop(noise(250 + number, 260)) for number in range(9)]
    together = embedder.embed(crops)
    alone = np.concatenate([embedder.embed([pixels]) for pixels in crops])
    differences = np.linalg.norm(together - alone, axis=1)
    assert (differences < 1e-5 * np.linalg.norm(alone, axis=1)).all()


def test_rows_are_float32_contiguous(embedder: Embedder) -> None:
    rows = embedder.embed([crop(noise(224, 224))] * 3)
    assert rows.dtype == np.float32
    assert rows.shape == (3, 512)
    assert rows.flags.c_contiguous
    assert embedder.embed([]).shape == (0, 512)


def test_identity_names_model_weights_and_extraction(embedder: Embedder) -> None:
    sha256 = "68d5403d92caa9ba377aefcefedaab2de1c53c7361ee81dcf7e36e57a9285f99"
    assert embedder.identity == ModelIdentity("resnet18", sha256)
    assert embedder.device == "cpu"


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "", "CPU", "cpu:1"])
def test_absent_device_is_refused_with_those_available(device: str, real_weights: Weights) -> None:
    with pytest.raises(UsageError, match=r"no device .* choose from auto, .*cpu"):
        Embedder(real_weights, device=device)


def test_auto_takes_the_first_available_device(real_weights: Weights) -> None:
    accelerated = (
        "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    )
    assert Embedder(real_weights).device == accelerated


def test_threads_are_set_only_on_request(real_weights: Weights) -> None:
    before = torch.get_num_threads()
    Embedder(real_weights, device="cpu")
    assert torch.get_num_threads() == before
    try:
        Embedder(real_weights, device="cpu", threads=before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_last_layer_is_not_needed(real_weights: Weights, embedder: Embedder) -> None:
    trunk = {name: array for name, array in real_weights.tensors.items() if not name.startswith("fc.")}
    crops = [crop(noise(240, 320))]
    rows = Embedder(replace(real_weights, tensors=trunk), device="cpu").embed(crops)
    np.testing.assert_array_equal(rows, embedder.embed(crops))


def test_missing_entry_is_an_error_not_a_random_layer(real_weights: Weights) -> None:
    tensors = {name: array for name, array in real_weights.tensors.items() if name != "layer4.1.bn2.bias"}
    with pytest.raises(WeightsError, match=r"layer4\.1\.bn2\.bias"):
        Embedder(replace(real_weights, tensors=tensors), device="cpu")


def test_values_that_are_not_finite_are_refused(real_weights: Weights) -> None:
    tensors = {**real_weights.tensors, "bn1.bias": np.full(64, np.inf, np.float32)}
    with pytest.raises(WeightsError, match="not finite on cpu"):
        Embedder(replace(real_weights, tensors=tensors), device="cpu").embed([crop(noise(224, 224))])


def test_weights_stay_as_they_were(real_weights: Weights, embedder: Embedder) -> None:
    for parameter in embedder._model.parameters():
        assert not np.shares_memory(parameter.detach().numpy(), real_weights.tensors["conv1.weight"])


def test_batch_is_halved_when_the_device_is_out_of_memory(
    real_weights: Weights, embedder: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    sizes: list[int] = []

    def small_device(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        sizes.append(len(inputs[0]))
        if sizes[-1] > 3:
            raise torch.cuda.OutOfMemoryError("no room for more than 3 images")

    crops: list[RgbArray] = [crop(noise(224 + number, 230)) for number in range(8)]
    small = Embedder(real_weights, device="cpu")
    small._model.register_forward_pre_hook(small_device)
    rows = small.embed(crops)
    assert sizes == [8, 4, 2, 2, 2, 2]
    assert np.linalg.norm(rows - embedder.embed(crops)) < 1e-3
    assert "batches of 2 from now on" in caplog.text


def test_one_image_too_many_for_the_device_is_an_error(real_weights: Weights) -> None:
    def no_memory(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("full")

    small = Embedder(real_weights, device="cpu")
    small._model.register_forward_pre_hook(no_memory)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        small.embed([crop(noise(224, 224))] * 4)


def fake_torchvision(folder: Path, source: str) -> Path:
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(source)
    return folder


def test_torchvision_that_imports_is_left_alone(tmp_path: Path) -> None:
    """Defining the operators beside compiled ones would abort the process."""
    folder = fake_torchvision(tmp_path, "plain = True")
    script = (
        "import torch; from imrec_pg.features.embedding import import_torchvision\n"
        "print(import_torchvision().plain, hasattr(torch.ops.torchvision, 'nms'))"
    )
    assert run_python(script, folder) == "True False"


def test_other_errors_of_torchvision_are_raised(tmp_path: Path) -> None:
    folder = fake_torchvision(
        tmp_path, "raise RuntimeError('operator torchvision::roi_align does not exist')"
    )
    script = (
        "import torch; from imrec_pg.features.embedding import import_torchvision\n"
        "try: import_torchvision()\n"
        "except RuntimeError as err: print(err, hasattr(torch.ops.torchvision, 'nms'))"
    )
    assert run_python(script, folder) == "operator torchvision::roi_align does not exist False"


def test_torchvision_without_its_operators_is_imported_again(tmp_path: Path) -> None:
    """What a CPU-only torch makes of PyPI's torchvision, acted out in small."""
    folder = fake_torchvision(
        tmp_path,
        "import torch\n"
        "from torchvision import half\n"
        "if not hasattr(torch.ops.torchvision, 'nms'):\n"
        "    raise RuntimeError('operator torchvision::nms does not exist')\n",
    )
    (folder / "torchvision" / "half.py").write_text("print('half')")
    script = (
        "import torch; from imrec_pg.features.embedding import import_torchvision\n"
        "first, second = import_torchvision(), import_torchvision()\n"
        "print(first is second, torch.ops.torchvision.qnms.default._schema)"
    )
    assert run_python(script, folder) == (
        "half\nhalf\nTrue torchvision::qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    )
