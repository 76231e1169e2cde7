"""The seed's extraction: one image at a time, as its documentation describes it.

Each image is opened once and turned to RGB; then ResNet-18 in float32 with a batch of one, cv2.calcHist,
average and difference hash; a list of dicts, pickled every 2,000 images. It is a program, so that it has a
process of its own.
"""

import math
import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import imagehash
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from benchmarks.programs import serve
from imrec_pg import settings
from imrec_pg.features import weights
from imrec_pg.features.embedding import import_torchvision

_CHECKPOINT = 2_000
_ENDINGS = (".jpg", ".jpeg", ".png")


class SeedLoop:
    """The seed's feature extraction, its model loaded."""

    def __init__(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        torchvision = import_torchvision()
        transforms = __import__("torchvision.transforms", fromlist=["transforms"])
        model = torchvision.models.resnet18(weights=None)
        model.load_state_dict({name: torch.tensor(array) for name, array in tensors.items()}, strict=False)
        model.fc = torch.nn.Identity()
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = model.eval().to(self._device)
        self._transform = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
            ]
        )

    def extract(self, path: Path) -> dict[str, Any]:
        """Return all features of one image."""
        image = Image.open(path).convert("RGB")
        grey = image.convert("L")
        return {
            "path": str(path),
            "embedding": self._embedding(image),
            "histogram": _histogram(image),
            "average_hash": imagehash.average_hash(grey).hash.flatten(),
            "difference_hash": imagehash.dhash(grey).hash.flatten(),
        }

    def run(self, folder: Path, checkpoint: Path, seconds: float = math.inf) -> int:
        """Extract the images below a folder into a pickle; return how many were done in the time allowed."""
        features: list[dict[str, Any]] = []
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS)
        started = time.perf_counter()
        for path in tqdm(paths, disable=None, desc="the seed's loop", leave=False):
            if time.perf_counter() - started > seconds:
                break
            features.append(self.extract(path))
            if len(features) % _CHECKPOINT == 0:
                _save(features, checkpoint)
        _save(features, checkpoint)
        return len(features)

    def _embedding(self, image: Image.Image) -> NDArray[np.float32]:
        tensor = self._transform(image).unsqueeze(0).to(self._device)
        with torch.no_grad():
            row: NDArray[np.float32] = self._model(tensor).squeeze().cpu().numpy()
        return row


def _histogram(image: Image.Image) -> NDArray[np.float32]:
    counts = cv2.calcHist([np.array(image)], [0, 1, 2], None, [8, 8, 8], [0, 256, 0, 256, 0, 256])
    return np.asarray(cv2.normalize(counts, counts, norm_type=cv2.NORM_L1).flatten(), dtype=np.float32)


def _save(features: list[dict[str, Any]], checkpoint: Path) -> None:
    with checkpoint.open("wb") as file:
        pickle.dump(features, file)


def main() -> None:
    """Load the model, then run over each folder that is named, with the file for its features."""
    loop = SeedLoop(weights.resolve(settings.load()).tensors)

    def extract(folder: str, checkpoint: str, seconds: str = "inf") -> dict[str, Any]:
        started = time.perf_counter()
        images = loop.run(Path(folder), Path(checkpoint), float(seconds))
        return {"images": images, "seconds": time.perf_counter() - started}

    serve(extract)


if __name__ == "__main__":
    main()
