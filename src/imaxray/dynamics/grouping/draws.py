"""Draws N entries from a pool in two ways, by whole images or apart, and compares their spectra."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from imaxray.dynamics.grouping.formulas import size_biased
from imaxray.dynamics.grouping.sharing import Codes, image_codes, permute_within
from imaxray.dynamics.numbers.intervals import Estimate
from imaxray.dynamics.numbers.spectrum import shares

Floats = NDArray[np.float64]

DRAWN: Final = ("se", "rho", "h2")
"""Statistics of a draw: SE, rho, and H2 = −ln Σp² of the draw's own spectrum, which unlike that of
:data:`~imaxray.dynamics.STATISTICS` is no estimate for the population."""


@dataclass(frozen=True)
class Drawn:
    """Holds the statistics of many draws.

    Attributes:
        values: Statistics (order of :data:`DRAWN`) of each draw, (3, draws).
        counts: How many entries of each image a draw holds, (draws, images).
    """

    values: Floats
    counts: Floats

    @property
    def group(self) -> float:
        """Mean over the draws of the size-biased number of entries of an image."""
        return float(np.mean([size_biased(row[row > 0]) for row in self.counts]))


def whole_images(codes: Codes, entries: int, random: np.random.Generator) -> Codes:
    """Draw entries by whole images: image after image, until there are ``entries``.

    The last image may be cut.

    Args:
        codes: Number of the image of each entry of the pool, from 0 on.
        entries: Number of entries to draw, at most those of the pool.
        random: Source of the draw.

    Returns:
        Indices of the drawn entries, (entries,) int64.
    """
    place = random.permutation(int(codes.max()) + 1)[codes]
    return np.lexsort((random.random(len(codes)), place))[:entries]


def apart(codes: Codes, entries: int, random: np.random.Generator) -> Codes:
    """Draw entries with at most one of each image.

    Entries are taken in random order, and those whose image was taken before are passed over. An
    image with many entries therefore comes up earlier than one with few, as it has more entries in
    a draw of whole images, so that both ways draw the same entries in the long run.

    Args:
        codes: Number of the image of each entry of the pool, from 0 on.
        entries: Number of entries to draw, at most the number of images.
        random: Source of the draw.
    """
    order = random.permutation(len(codes))
    first = np.unique(codes[order], return_index=True)[1]
    return order[np.sort(first)[:entries]]


def permuted(codes: Codes, kinds: Codes, entries: int, random: np.random.Generator) -> Codes:
    """Draw whole images after the entries were permuted among the images, each within its stratum.

    Such a draw has groups of the same sizes and tasks, but its entries do not share an image.

    Args:
        codes: Number of the image of each entry of the pool, from 0 on.
        kinds: Number of the stratum of each entry, such as its task.
        entries: Number of entries to draw.
        random: Source of the draw.
    """
    return permute_within(kinds, random)[whole_images(codes, entries, random)]


def together(
    gram: Floats,
    images: Sequence[str],
    strata: Sequence[str],
    entries: int,
    *,
    draws: int = 200,
    seed: int = 0,
) -> dict[str, Drawn]:
    """Draw ``entries`` entries many times in three ways and compute the statistics of each draw.

    Args:
        gram: Gram matrix of the pool, (N, N) float64.
        images: Image of each entry.
        strata: Stratum of each entry, such as its task.
        entries: Number of entries of a draw.
        draws: Number of draws of each way.
        seed: Random seed. The same seed draws the same entries, also from another Gram matrix of
            the same pool.

    Returns:
        ``whole``, ``permuted``, and ``apart`` if the pool has enough images.
    """
    codes, kinds = image_codes(images), image_codes(strata)
    random = np.random.default_rng([seed, entries])
    ways: dict[str, Callable[[], Codes]] = {
        "whole": lambda: whole_images(codes, entries, random),
        "permuted": lambda: permuted(codes, kinds, entries, random),
    }
    if int(codes.max()) + 1 >= entries:
        ways["apart"] = lambda: apart(codes, entries, random)
    found = {}
    for way, draw in ways.items():
        index = np.stack([draw() for _ in range(draws)])
        counts = np.zeros((draws, int(codes.max()) + 1))
        np.add.at(counts, (np.arange(draws)[:, None], codes[index]), 1)
        found[way] = Drawn(_statistics(gram, index), counts)
    return found


def difference(one: Drawn, other: Drawn, level: float = 0.95) -> dict[str, Estimate]:
    """Return the mean of ``one`` minus that of ``other``, with an interval over draws and images.

    Args:
        one: Draws of one way.
        other: Draws of another way from the same pool.
        level: Confidence level.
    """
    found = {}
    for number, name in enumerate(DRAWN):
        parts = [(one.values[number], one.counts), (-other.values[number], other.counts)]
        error = float(np.sqrt(variance(parts)))
        value = float(sum(values.mean() for values, _ in parts))
        half = float(stats.norm.ppf((1 + level) / 2)) * error
        found[name] = Estimate(value, value - half, value + half, error)
    return found


def variance(parts: Sequence[tuple[Floats, Floats]]) -> float:
    """Return the variance of a sum of means over draws from one pool, over draws and images.

    The variance over draws is that of a mean of independent draws. The variance over the pool's
    images is the infinitesimal jackknife of a mean over subsamples (Wager, Hastie and Efron 2014,
    JMLR 15:1625), less what the finite number of draws adds to it.

    Args:
        parts: For each way of drawing the values, (draws,), and how many entries of each image a
            draw holds, (draws, images).
    """
    over_draws = sum(float(values.var(ddof=1)) / len(values) for values, _ in parts)
    influences = [_influence(values, counts) for values, counts in parts]
    total = np.sum([influence for influence, _ in influences], axis=0)
    over_images = float((total**2).sum()) - sum(noise for _, noise in influences)
    return over_draws + max(over_images, 0.0)


def _influence(values: Floats, counts: Floats) -> tuple[Floats, float]:
    """Return each image's influence on the mean of the values, and the noise of their squares."""
    held = (counts > 0).astype(np.float64)
    images = held.shape[1]
    centred = held - held.mean(axis=0)
    off = values - values.mean()
    # images are drawn without replacement; a draw of all of them would have no such error
    scale = np.sqrt(images * (images - 1)) / max(images - float(held.sum(axis=1).mean()), 1.0)
    noise = float((centred**2).mean(axis=0).sum() * (off**2).mean() / len(values))
    return centred.T @ off / len(values) * scale, noise * float(scale) ** 2


_AT_ONCE: Final = 4_000_000  # numbers of the Gram matrices whose eigenvalues are computed together


def _statistics(gram: Floats, index: Codes) -> Floats:
    entries = index.shape[1]
    step = max(1, _AT_ONCE // entries**2)
    parts = []
    for start in range(0, len(index), step):
        at = index[start : start + step]
        p = shares(gram[at[:, :, None], at[:, None, :]])
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(p == 0, 0.0, p * np.log(p))
            parts.append(np.stack([-terms.sum(axis=-1), p[:, -1], -np.log((p**2).sum(axis=-1))]))
    return np.concatenate(parts, axis=1)
