"""Perceptual hashes: the brightness pattern of an image in 64 bits, compared by Hamming distance, 0 to 64.

They accept any mode and convert it to grey first, which takes most of their time: to compute several, pass
image.convert("L"), which gives the same hashes.
"""

import imagehash
import numpy as np
from PIL import Image

_SIDE = 8


def average_hash(image: Image.Image) -> bytes:
    """Return 8 bytes, row by row, the top left cell in the highest bit; 1 where brighter than the mean.

    The image is reduced to 8x8 grey cells (Krawetz 2011, "Looks Like It", hackerfactor.com).
    """
    return _pack(imagehash.average_hash(image, hash_size=_SIDE))


def difference_hash(image: Image.Image) -> bytes:
    """Return 8 bytes, row by row, the leftmost in the highest bit; 1 where brighter than the left neighbour.

    The image is reduced to 9x8 grey cells (Krawetz 2013, "Kind of Like That", hackerfactor.com).
    """
    return _pack(imagehash.dhash(image, hash_size=_SIDE))


def _pack(bits: imagehash.ImageHash) -> bytes:
    return np.packbits(bits.hash.flatten()).tobytes()
