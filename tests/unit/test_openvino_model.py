import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from imrec_pg.errors import WeightsError
from imrec_pg.features import openvino_model
from imrec_pg.features.embedding import Embedder, crop
from imrec_pg.features.openvino_model import OpenVinoEmbedder, Precision
from imrec_pg.features.quantization import quantized, quantized_for_pixels
from imrec_pg.features.weights import Weights
from imrec_pg.records import ModelIdentity, RgbArray

# Not importorskip, which would import it, telemetry and all.
if find_spec("openvino") is None:
    pytest.skip("there is no OpenVINO for this platform; torch runs the model", allow_module_level=True)

Load = Callable[[Precision], OpenVinoEmbedder]

# Without VNNI, x86 CPUs add bytes up in 16 bits, which overflow; "auto" takes no int8 there.
needs_vnni = pytest.mark.skipif(
    not openvino_model._multiplies_bytes_best(), reason="this CPU does not multiply bytes fast and exactly"
)


@pytest.fixture(scope="session")
def reference(real_weights: Weights) -> Embedder:
    return Embedder(real_weights, device="cpu")


@pytest.fixture(scope="session")
def load(real_weights: Weights) -> Load:
    loaded: dict[Precision, OpenVinoEmbedder] = {}

    def load_once(precision: Precision) -> OpenVinoEmbedder:
        if precision not in loaded:
            loaded[precision] = OpenVinoEmbedder(real_weights, precision=precision)
        return loaded[precision]

    return load_once


@pytest.fixture(scope="session")
def photos() -> list[RgbArray]:
    """Real photos, each whole and in four parts."""
    data = pytest.importorskip("skimage.data", reason="scikit-image brings the photos: the extra [bench]")
    names = ["astronaut", "coffee", "chelsea", "rocket"]
    images = [Image.fromarray(getattr(data, name)()[..., :3]) for name in names]
    parts = []
    for image in images:
        x, y = image.width // 2, image.height // 2
        parts += [image, *(image.crop((a, b, a + x, b + y)) for a in (0, x) for b in (0, y))]
    return [crop(part) for part in parts]


def drawn(number: int) -> RgbArray:
    """Smooth colours with an edge and some grain, as a photo has them."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    image = coarse.resize((260, 250), Image.Resampling.BICUBIC)
    image.paste(tuple(rng.integers(0, 256, 3)), (30 + 9 * number, 60, 170 + 9 * number, 190))
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(1))) + rng.normal(0, 4, (250, 260, 3))
    return crop(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))


@pytest.fixture(scope="session")
def drawings() -> list[RgbArray]:
    return [drawn(number) for number in range(9)]


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a64, axis=1) * np.linalg.norm(b64, axis=1)
    found: NDArray[np.float64] = (a64 * b64).sum(axis=1) / lengths
    return found


def extremes() -> list[RgbArray]:
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
    return [
        noise,
        np.zeros_like(noise),
        np.full_like(noise, 255),
        np.where(noise > 127, 255, 0).astype(np.uint8),
    ]


def test_f32_equals_torch(load: Load, reference: Embedder, drawings: list[RgbArray]) -> None:
    crops = [*drawings, *extremes()]
    rows, expected = load("f32").embed(crops), reference.embed(crops)
    lengths = np.linalg.norm(expected, axis=1)
    assert (np.linalg.norm(rows - expected, axis=1) < 1e-5 * lengths).all()


def test_bf16_stays_near_float32(load: Load, reference: Embedder, photos: list[RgbArray]) -> None:
    assert cosine(load("bf16").embed(photos), reference.embed(photos)).min() > 0.9995


def test_photos_keep_their_embeddings_by_default(
    load: Load, reference: Embedder, photos: list[RgbArray]
) -> None:
    found = cosine(load("auto").embed(photos), reference.embed(photos))
    assert np.median(found) > 0.999
    assert found.min() > 0.99


def test_drawings_keep_their_embeddings_by_default(
    load: Load, reference: Embedder, drawings: list[RgbArray]
) -> None:
    crops = [*drawings, *extremes()]
    assert cosine(load("auto").embed(crops), reference.embed(crops)).min() > 0.98


@needs_vnni
def test_int8_keeps_lengths(load: Load, reference: Embedder, photos: list[RgbArray]) -> None:
    """Euclidean and Manhattan distances need them, which cosine does not see."""
    rows, expected = load("int8").embed(photos), reference.embed(photos)
    ratios = np.linalg.norm(rows, axis=1) / np.linalg.norm(expected, axis=1)
    assert np.median(ratios) == pytest.approx(1, abs=0.01)
    assert ratios.min() > 0.95
    assert ratios.max() < 1.05


@needs_vnni
def test_int8_convolutions_are_computed_in_bytes(load: Load) -> None:
    """Otherwise the model would be int8 in name only: slower than bfloat16, and no nearer."""
    ran = [op.get_rt_info() for op in load("int8")._model.get_runtime_model().get_ordered_ops()]
    layers = [info for info in ran if info["layerType"].astype(str) == "Convolution"]
    assert len(layers) == 20
    assert {info["runtimePrecision"].astype(str) for info in layers} == {"u8"}


@pytest.mark.parametrize("precision", ["f32", "bf16", pytest.param("int8", marks=needs_vnni)])
def test_embedding_does_not_depend_on_its_batch(
    precision: Precision, load: Load, drawings: list[RgbArray]
) -> None:
    """A query comes alone, what it is compared with came in batches."""
    crops = (drawings * 4)[:32]
    embedder = load(precision)
    together = embedder.embed(crops)
    alone = np.concatenate([embedder.embed([pixels]) for pixels in crops])
    assert (1 - cosine(together, alone)).max() < 1e-4


@needs_vnni
def test_int8_is_the_same_to_rounding_in_any_batch(load: Load, drawings: list[RgbArray]) -> None:
    embedder = load("int8")
    together = embedder.embed(drawings)
    alone = np.concatenate([embedder.embed([pixels]) for pixels in drawings])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-4)


def test_precision_in_use_is_told(load: Load) -> None:
    assert load("f32").precision == "f32"
    assert load("auto").precision in {"f32", "bf16", "int8"}
    assert load("int8").precision == "int8"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2 avx512f avx512_bf16 avx512_vnni", True),
        ("fpu avx2 avx_vnni", True),
        ("fpu avx2 avx512f avx512_vnni amx_bf16 amx_tile amx_int8", False),
        ("fpu avx2 avx512f", False),
        ("", False),
    ],
)
def test_bytes_are_chosen_by_the_cpus_flags(
    flags: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    text = f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: x\n" * 2
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    assert openvino_model._multiplies_bytes_best() is expected


def test_without_a_list_of_flags_nothing_is_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_file(*_: object, **__: object) -> str:
        raise FileNotFoundError("/proc/cpuinfo")

    monkeypatch.setattr(Path, "read_text", no_such_file)
    assert openvino_model._multiplies_bytes_best() is False


def test_other_weights_are_never_int8(real_weights: Weights) -> None:
    other = replace(real_weights, sha256="0" * 64)
    assert OpenVinoEmbedder(other).precision in {"f32", "bf16"}
    with pytest.raises(WeightsError, match="int8 works only with torchvision's weights"):
        OpenVinoEmbedder(other, precision="int8")


@pytest.mark.parametrize("name", ["conv1.weight", "bn1.bias", "layer4.1.bn2.running_var"])
@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_missing_tensor_is_an_error(name: str, precision: Precision, real_weights: Weights) -> None:
    tensors = {key: array for key, array in real_weights.tensors.items() if key != name}
    with pytest.raises(WeightsError, match=f"do not fit: '{name}' is missing"):
        OpenVinoEmbedder(replace(real_weights, tensors=tensors), precision=precision)


def test_values_that_are_not_finite_are_refused(real_weights: Weights, drawings: list[RgbArray]) -> None:
    tensors = {**real_weights.tensors, "layer4.1.bn2.bias": np.full(512, np.inf, np.float32)}
    with pytest.raises(WeightsError, match="not finite"):
        OpenVinoEmbedder(replace(real_weights, tensors=tensors), precision="f32").embed(drawings[:1])


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_rows_are_float32_contiguous(precision: Precision, load: Load, drawings: list[RgbArray]) -> None:
    rows = load(precision).embed(drawings[:3])
    assert rows.dtype == np.float32
    assert rows.shape == (3, 512)
    assert rows.flags.c_contiguous
    assert load(precision).embed([]).shape == (0, 512)


def test_rows_are_not_overwritten_by_the_next_batch(load: Load, drawings: Sequence[RgbArray]) -> None:
    first = load("auto").embed(drawings[:2])
    kept = first.copy()
    load("auto").embed(drawings[2:4])
    np.testing.assert_array_equal(first, kept)


def test_identity_is_that_of_torch(load: Load, reference: Embedder) -> None:
    assert load("auto").identity == reference.identity
    assert load("auto").identity == ModelIdentity("resnet18", reference.identity.weights_sha256)
    assert load("auto").device == "cpu"


def test_torch_is_not_imported() -> None:
    script = (
        "import sys, numpy as np\n"
        "from imrec_pg import settings\n"
        "from imrec_pg.features import openvino_model, weights\n"
        "found = weights.resolve(settings.load(environ={}), fetch=False)\n"
        "openvino_model.OpenVinoEmbedder(found).embed([np.zeros((224, 224, 3), np.uint8)])\n"
        "print({'torch', 'torchvision'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_kernels_are_rounded_within_half_a_step() -> None:
    kernel = np.random.default_rng(3).normal(size=(6, 4, 3, 3))
    kernel[2] = 0
    steps, scales = quantized(kernel)
    assert steps.dtype == np.int8
    errors = np.abs(steps * scales[:, None, None, None] - kernel)
    assert (errors <= scales[:, None, None, None] / 2 + 1e-12).all()
    # The largest weight of each channel takes the last step.
    np.testing.assert_array_equal(np.abs(steps).max(axis=(1, 2, 3)), [127, 127, 0, 127, 127, 127])


def test_rounding_for_pixels_keeps_what_flat_areas_give() -> None:
    """A flat area's answer is the sum of the weights, which plain rounding misses."""
    kernel = np.random.default_rng(4).normal(size=(64, 3, 7, 7))

    def flat_error(steps: NDArray[np.int8], scales: NDArray[np.float64]) -> float:
        missed = (steps * scales[:, None, None, None] - kernel).sum(axis=(1, 2, 3))
        return float(np.sqrt((missed**2).mean()))

    assert flat_error(*quantized_for_pixels(kernel)) < flat_error(*quantized(kernel)) / 5
