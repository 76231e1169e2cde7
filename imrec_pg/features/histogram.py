"""The colour histogram: how much of an image has which colour, regardless of where."""

import cv2
import numpy as np

from imrec_pg.records import FloatRow, RgbArray

_BINS = [8, 8, 8]
_RANGES = [0, 256, 0, 256, 0, 256]


class RgbHistogram:
    """8x8x8 joint RGB histogram (Swain and Ballard 1991, doi:10.1007/BF00130487)."""

    def extract(self, image: RgbArray) -> FloatRow:
        """Return float32 (512,), non-negative, sum 1, R the slowest axis; image is uint8 (H, W, 3) RGB."""
        counts = cv2.calcHist([image], [0, 1, 2], None, _BINS, _RANGES)
        shares = cv2.normalize(counts, counts, alpha=1, norm_type=cv2.NORM_L1)
        return np.asarray(shares, dtype=np.float32).reshape(-1)
