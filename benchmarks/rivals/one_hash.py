"""How other programs look for near copies: by one hash, each image against all others."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pairs = set[tuple[int, int]]


class BkTree:
    """A tree of codes by their Hamming distances (Burkhard and Keller 1973, doi:10.1145/362003.362025).

    czkawka and imagededup look up each image in one like it: all that is within so many bits.
    """

    def __init__(self, codes: Sequence[int]) -> None:
        self._codes = codes
        self._children: list[dict[int, int]] = [{} for _ in codes]
        for number in range(1, len(codes)):
            self._add(number)

    def _add(self, number: int) -> None:
        at = 0
        while True:
            bits = (self._codes[at] ^ self._codes[number]).bit_count()
            following = self._children[at].get(bits)
            if following is None:
                self._children[at][bits] = number
                return
            at = following

    def within(self, code: int, most: int) -> list[int]:
        """Return the numbers of all codes that differ in at most so many bits."""
        found, todo = [], [0]
        while todo:
            at = todo.pop()
            bits = (self._codes[at] ^ code).bit_count()
            if bits <= most:
                found.append(at)
            todo += [child for key, child in self._children[at].items() if abs(key - bits) <= most]
        return found


def brute_force(codes: NDArray[np.uint64], most: int) -> Pairs:
    """Return all pairs that differ in at most so many bits, each compared; the smaller number first."""
    found: Pairs = set()
    for number, code in enumerate(codes):
        near = np.nonzero(np.bitwise_count(codes[number + 1 :] ^ code) <= most)[0]
        found.update((number, number + 1 + int(other)) for other in near)
    return found


def by_the_rule(
    difference: NDArray[np.uint64],
    perceptual: NDArray[np.uint64],
    embeddings: NDArray[np.float32],
    limits: tuple[int, int, int, int, float],
) -> Pairs:
    """Return all pairs for which our rule speaks, each compared.

    Args:
        difference: the difference_hash of each image.
        perceptual: the perceptual_hash of each.
        embeddings: unit vectors.
        limits: the most bits of each hash; or of one, of the other one, and the most cosine distance.
    """
    most_difference, most_perceptual, near_bits, other_bits, distance = limits
    found: Pairs = set()
    for number in range(len(difference) - 1):
        d = np.bitwise_count(difference[number + 1 :] ^ difference[number])
        p = np.bitwise_count(perceptual[number + 1 :] ^ perceptual[number])
        both = (d <= most_difference) & (p <= most_perceptual)
        one = np.nonzero((np.minimum(d, p) <= near_bits) & (np.maximum(d, p) <= other_bits) & ~both)[0]
        close = one[1 - embeddings[one + number + 1] @ embeddings[number] <= distance]
        found.update((number, number + 1 + int(other)) for other in (*np.nonzero(both)[0], *close))
    return found
