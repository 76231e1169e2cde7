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


def perceptual_hash(image: Image.Image) -> bytes:
    """Return 8 bytes, row by row, the lowest frequency in the highest bit; 1 where above the median.

    The image is reduced to 32x32 grey cells, and of their discrete cosine transform the 8x8 lowest frequencies
    count (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", chapter 3.2.1).
    """
    return _pack(imagehash.phash(image, hash_size=_SIDE))


def _pack(bits: imagehash.ImageHash) -> bytes:
    return np.packbits(bits.hash.flatten()).tobytes()
