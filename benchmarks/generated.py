"""Generated features, for measuring searches over more photos than are at hand.

How they are made, and why the comparison is fair:

- A photo belongs to one of 2,000 kinds of picture, whose sizes follow Zipf's law, and in one case of ten to
  the same burst of shots as the photo before it: there are dense places, lonely rows and near duplicates, as
  in a real collection. Kinds of content, of colours and of brightness patterns are drawn independently.
- Embeddings: kinds belong to 40 sorts of content. A point in 128 latent dimensions of falling weight, 48 of
  which vary within a kind, goes through a random linear map and then max(0, (y + 2.3) / 2.3)^2.7 * 0.625,
  which gives the distribution of values that ResNet-18 has.
- Histograms: four blobs of colour, near the grey axis as in photos, over the 8x8x8 bins, unevenly filled;
  what would be less than a pixel or so is 0.
- Hashes: a field of brightness made of cosines that weaken with their frequency, as in photos, treated as
  imagehash treats a picture. Reduced to 8x8 or 9x8 cells, each is compared with the mean (average_hash) or
  its left neighbour (difference_hash); of the cosine transform of 32x32 cells, each of the 8x8 lowest
  frequencies is compared with their median (perceptual_hash). So the bits depend on each other, unlike
  random bits, which would flatter a multi-index.

The constants were fitted to the features of 160 real photos, each of another thing; docs/benchmark.md shows
both side by side. How alike photos of the same thing are, so few cannot tell. All contenders get the same
rows. Queries are held out: drawn with the rows, from the same kinds and bursts, and not stored. The first
rows of a larger set are the rows of a smaller one.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.feature_rows import FeatureRows, Hashes
from imrec_pg.records import Feature

Floats = NDArray[np.float32]

BLOCK: Final = 5_000
"""Rows made at a time."""
HELD_OUT: Final = 50
"""Queries made with each block."""

_KINDS = 2_000
_BURST = 0.1
_DIMENSIONS = 512
_LATENT, _VARYING = 128, 48
# Shares of the variance: of the kind, of the shot within it, of the single photo within a burst; a trace of
# independent noise in each value.
_SHARES = (0.45, 0.44, 0.06, 0.05)
# Sorts of content, and how much of the variance between kinds is between them.
_SORTS, _ALIKE = 40, 0.75
_BLOBS, _BINS = 4, 8
_LEAST_SHARE = 2e-4
_SIDE = 8
_FINE_SIDE = 32
# In photos the mean brightness is about two standard deviations; the field's own mean is 0.
_BRIGHTNESS = 2.0


class Mixture:
    """The distribution that all blocks are drawn from; equal seeds give equal blocks."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        rng = np.random.default_rng([seed, 0])
        weights = 1 / (np.arange(_KINDS) + 10)
        self._weights = weights / weights.sum()
        self._content = _Content(rng)
        self._colours = _Colours(rng)
        self._brightness = _Brightness(rng)

    def block(self, number: int) -> tuple[FeatureRows, FeatureRows]:
        """Return BLOCK rows to store and HELD_OUT queries, the same ones for the same number."""
        rng = np.random.default_rng([self._seed, 1 + number])
        size = BLOCK + HELD_OUT
        shot = np.cumsum(rng.random(size) >= _BURST) - 1
        shot -= shot[0]
        order = rng.permutation(size)
        shots = int(shot[-1]) + 1

        def kinds() -> NDArray[np.int64]:
            return rng.choice(_KINDS, size=shots, p=self._weights)

        columns: dict[Feature, NDArray[np.generic]] = {
            Feature.EMBEDDING: self._content.draw(rng, kinds(), shot),
            Feature.HISTOGRAM: self._colours.draw(rng, kinds(), shot),
            **self._brightness.draw(rng, kinds(), shot),
        }
        made = FeatureRows({feature: rows[order] for feature, rows in columns.items()})
        return made.rows(0, BLOCK), made.rows(BLOCK, size)


class _Content:
    """What ResNet-18 sees."""

    def __init__(self, rng: np.random.Generator) -> None:
        weights = np.linspace(1.5, 0.5, _LATENT, dtype=np.float32)[:, None]
        self._map = _normal(rng, _LATENT, _DIMENSIONS) * weights / np.linalg.norm(weights)
        # Kinds of one sort, such as animals, are nearer to each other.
        sorts = _normal(rng, _SORTS, _LATENT)[rng.integers(_SORTS, size=_KINDS)]
        alike = np.sqrt(np.float32(_ALIKE))
        self._centres = alike * sorts + np.sqrt(1 - alike**2) * _normal(rng, _KINDS, _LATENT)
        # Which latent dimensions vary within a kind; the first of them the most.
        self._scales = np.zeros((_KINDS, _LATENT), dtype=np.float32)
        decay = np.linspace(1.4, 0.6, _VARYING)
        decay *= np.sqrt(_LATENT / np.square(decay).sum())
        for scales in self._scales:
            scales[rng.permutation(_LATENT)[:_VARYING]] = decay

    def draw(self, rng: np.random.Generator, kinds: NDArray[np.int64], shot: NDArray[np.int64]) -> Floats:
        of_kind, of_shot, own, noise = np.sqrt(np.array(_SHARES, dtype=np.float32))
        within = of_shot * _normal(rng, len(kinds), _LATENT)[shot] + own * _normal(rng, len(shot), _LATENT)
        latent = of_kind * self._centres[kinds[shot]] + within * self._scales[kinds[shot]]
        values = latent @ self._map + noise * _normal(rng, len(shot), _DIMENSIONS)
        positive = np.maximum((values + 2.3) / 2.3, 0)
        return np.asarray(0.625 * np.power(positive, 2.7), dtype=np.float32)


class _Colours:
    """How much of the picture is of which colour."""

    def __init__(self, rng: np.random.Generator) -> None:
        grey = rng.beta(0.3, 0.6, size=(_KINDS, _BLOBS, 1))
        self._centres = 7 * np.clip(grey + 0.05 * rng.normal(size=(_KINDS, _BLOBS, 3)), 0, 1)
        self._areas = rng.dirichlet(np.full(_BLOBS, 1.5), size=_KINDS)

    def draw(self, rng: np.random.Generator, kinds: NDArray[np.int64], shot: NDArray[np.int64]) -> Floats:
        shape = (len(kinds), _BLOBS)
        centres = self._centres[kinds] + 0.35 * rng.normal(size=(*shape, 3))
        widths = rng.gamma(3.0, 0.2, size=(*shape, 1))
        areas = self._areas[kinds] * rng.gamma(2.0, 0.5, size=shape)
        # A burst: the same colours, a little more of one and less of the other.
        centres = centres[shot] + 0.05 * rng.normal(size=(len(shot), _BLOBS, 3))
        areas = areas[shot] * np.exp(0.1 * rng.normal(size=(len(shot), _BLOBS)))
        steps = np.arange(_BINS) - centres[..., None]
        channels = np.exp(-0.5 * np.square(steps / (0.25 + widths[shot][..., None])))
        channels /= channels.sum(axis=-1, keepdims=True) + 1e-9
        red, green, blue = (channels[:, :, axis].astype(np.float32) for axis in range(3))
        filled = np.einsum("nb,nbr,nbg,nbl->nrgl", areas.astype(np.float32), red, green, blue, optimize=True)
        rough = np.exp(0.6 * _normal(rng, len(kinds), _DIMENSIONS))[shot]
        shares = filled.reshape(len(shot), _DIMENSIONS) * rough
        shares *= np.exp(0.1 * _normal(rng, len(shot), _DIMENSIONS))
        shares /= shares.sum(axis=1, keepdims=True)
        shares[shares < _LEAST_SHARE] = 0
        return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float32)


class _Brightness:
    """Light and dark, from which all hashes come."""

    def __init__(self, rng: np.random.Generator) -> None:
        frequency = np.hypot(*np.meshgrid(np.arange(_SIDE), np.arange(_SIDE), indexing="ij"))
        strength = 1 / np.maximum(frequency, 1) ** 1.0
        strength[0, 0] = 0
        self._strength = strength.astype(np.float32)
        self._centres = _normal(rng, _KINDS, _SIDE, _SIDE)

    def draw(
        self, rng: np.random.Generator, kinds: NDArray[np.int64], shot: NDArray[np.int64]
    ) -> dict[Feature, Hashes]:
        of_shot = 0.5 * self._centres[kinds] + 0.87 * _normal(rng, len(kinds), _SIDE, _SIDE)
        waves = (of_shot[shot] + 0.12 * _normal(rng, len(shot), _SIDE, _SIDE)) * self._strength
        square, wide, fine = (
            field(waves, width, height)
            for width, height in ((_SIDE, _SIDE), (_SIDE + 1, _SIDE), (_FINE_SIDE, _FINE_SIDE))
        )
        return {
            Feature.AVERAGE_HASH: _packed(square > square.mean(axis=(1, 2), keepdims=True)),
            Feature.DIFFERENCE_HASH: _packed(wide[:, :, 1:] > wide[:, :, :-1]),
            Feature.PERCEPTUAL_HASH: perceptual_hashes(fine + np.float32(_BRIGHTNESS)),
        }


def field(waves: Floats, width: int, height: int) -> Floats:
    """Return the brightness float32 (n, height, width) that cosines of strengths (n, 8, 8) add up to."""
    made = np.einsum("nuv,yu,xv->nyx", waves, _cosines(height), _cosines(width), optimize=True)
    return np.asarray(made, dtype=np.float32)


def perceptual_hashes(cells: Floats) -> Hashes:
    """Return the hash of each picture, as imagehash.phash has it; cells are (n, 32, 32).

    A bit is 1 where a frequency of the discrete cosine transform (type 2) is above the median of the 8x8
    lowest ones. It takes 2 s for 450,000 pictures.
    """
    basis = _cosines(_FINE_SIDE)
    lowest = np.einsum("nyx,yu,xv->nuv", cells, basis, basis, optimize=True)
    return _packed(lowest > np.median(lowest, axis=(1, 2), keepdims=True))


def _cosines(cells: int) -> Floats:
    centres = (np.arange(cells) + 0.5) / cells
    return np.cos(np.pi * centres[:, None] * np.arange(_SIDE)).astype(np.float32)


def _packed(bits: NDArray[np.bool_]) -> Hashes:
    return np.packbits(bits.reshape(len(bits), -1), axis=1)


def _normal(rng: np.random.Generator, *shape: int) -> Floats:
    return rng.standard_normal(shape, dtype=np.float32)
