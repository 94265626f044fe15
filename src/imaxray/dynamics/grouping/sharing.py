"""Measures how alike gradients are within an image and across images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from imaxray.dynamics.grouping.formulas import size_biased
from imaxray.dynamics.numbers.intervals import Estimate
from imaxray.errors import ImaxrayError

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Sharing:
    """Says how alike the gradients of a pool of entries are within an image and across images.

    All intervals leave out one image at a time (jackknife); they hold for other images.

    Attributes:
        entries: Number of entries.
        images: Number of images.
        group: Size-biased mean number of entries of an image, g̃ = Σn²/Σn.
        within: m_w, mean of K_ij² over pairs of one image, over the squared mean of K_ii.
        across: m_b, the same over pairs of two images.
        spread: Mean of K_ii² over the squared mean of K_ii; 1 for gradients of norm one.
        cosine_within: Mean of K_ij over pairs of one image, over the mean of K_ii.
        cosine_across: The same over pairs of two images.
        icc: Intraclass correlation (cosine_within − cosine_across) / (1 − cosine_across): the share
            of the gradients' variance that lies between images.
    """

    entries: int
    images: int
    group: float
    within: Estimate
    across: Estimate
    spread: float
    cosine_within: Estimate
    cosine_across: Estimate
    icc: Estimate


def sharing(gram: Floats, images: Sequence[str], *, level: float = 0.95) -> Sharing:
    """Measure how alike gradients are within an image and across images.

    Args:
        gram: Gram matrix of the gradients, (N, N) float64.
        images: Image of each entry.
        level: Confidence level of the intervals.

    Raises:
        ImaxrayError: If there are fewer than three images, or no image has two entries.

    Example:
        >>> found = sharing(np.eye(6), ["a", "a", "b", "b", "c", "c"])
        >>> found.group, found.within.value, found.icc.value
        (2.0, 0.0, 0.0)
    """
    codes = image_codes(images)
    sizes = np.bincount(codes)
    if len(sizes) < 3 or sizes.max() < 2:
        raise ImaxrayError(
            f"Expected entries of three images or more, at least one of them with two entries, but "
            f"got {len(codes)} entries of {len(sizes)} images; take a larger pool, or data with "
            "several entries per image."
        )
    of = _Sums(gram, codes, len(sizes))
    squares = _Sums(gram**2, codes, len(sizes))
    diagonal = np.diag(gram)
    norm = _Means(diagonal, codes, len(sizes))

    def all_of(w: Floats, b: Floats, w2: Floats, b2: Floats, d: Floats) -> dict[str, Floats]:
        with np.errstate(divide="ignore", invalid="ignore"):
            inside, outside = w / d, b / d
            return {
                "within": w2 / d**2,
                "across": b2 / d**2,
                "cosine_within": inside,
                "cosine_across": outside,
                "icc": (inside - outside) / (1 - outside),
            }

    whole = all_of(*of.means(), *squares.means(), norm.mean())
    less = all_of(*of.without_one(), *squares.without_one(), norm.without_one())
    found = {name: _jackknife(whole[name], less[name], level) for name in whole}
    mean = float(norm.mean())
    return Sharing(
        entries=len(codes), images=len(sizes), group=size_biased(sizes),
        spread=float((diagonal**2).mean() / mean**2) if mean > 0 else float("nan"), **found,
    )  # fmt: skip


def permutation_test(
    gram: Floats,
    images: Sequence[str],
    strata: Sequence[str] | None = None,
    *,
    permutations: int = 1000,
    seed: int = 0,
) -> float:
    """Test whether gradients of one image are more alike than those of different images.

    Under the null hypothesis it does not matter which entries share an image, so the entries are
    permuted among the images, each within its stratum, so that every image keeps its tasks. The
    statistic is the mean of K_ij² over pairs of one image.

    Args:
        gram: Gram matrix of the gradients, (N, N) float64.
        images: Image of each entry.
        strata: Stratum of each entry, such as its task; default: one stratum.
        permutations: Number of permutations.
        seed: Random seed.

    Returns:
        One-sided p-value (1 + number of permutations that reach the measured value) / (1 +
        permutations).
    """
    codes = image_codes(images)
    kinds = np.zeros_like(codes) if strata is None else image_codes(strata)
    rows, columns = _pairs(codes)
    squares = gram**2
    measured = squares[rows, columns].sum()
    random = np.random.default_rng(seed)
    reached = 0
    for _ in range(permutations):
        order = permute_within(kinds, random)
        # rounding must not tell apart permutations that only swap the order of the same pairs
        reached += squares[order[rows], order[columns]].sum() >= measured * (1 - 1e-12)
    return (1 + int(reached)) / (1 + permutations)


def permute_within(kinds: Codes, random: np.random.Generator) -> Codes:
    """Return a permutation of the entries that keeps each within its stratum, (N,) int64."""
    order = np.arange(len(kinds))
    keys = random.random(len(kinds))
    by = np.lexsort((keys, kinds))
    order[np.argsort(kinds, kind="stable")] = by
    return order


def image_codes(names: Sequence[str]) -> Codes:
    """Return a number from 0 on for each name, in the order of the names, (N,) int64."""
    return np.asarray(np.unique(np.asarray(names), return_inverse=True)[1], dtype=np.int64)


def _pairs(codes: Codes) -> tuple[Codes, Codes]:
    """Return the pairs of entries that share a group."""
    rows, columns = np.nonzero(np.triu(codes[:, None] == codes[None, :], k=1))
    return rows, columns


class _Sums:
    """Sums a matrix over the pairs within groups and across them, with each group left out once."""

    def __init__(self, values: Floats, codes: Codes, groups: int) -> None:
        one = np.zeros((len(codes), groups))
        one[np.arange(len(codes)), codes] = 1
        block = one.T @ values @ one  # sums over pairs of groups, diagonal entries among them
        own = np.bincount(codes, weights=np.diag(values), minlength=groups)
        self._inside = np.diag(block) - own
        self._total = values.sum() - np.diag(values).sum()
        self._touching = 2 * block.sum(axis=1) - np.diag(block) - own  # pairs that hold the group
        self._sizes = np.bincount(codes, minlength=groups).astype(np.float64)

    def means(self) -> tuple[Floats, Floats]:
        """Return the means within groups and across them."""
        n = self._sizes.sum()
        return self._mean(self._inside.sum(), self._total, n, (self._sizes**2).sum())

    def without_one(self) -> tuple[Floats, Floats]:
        """Return the means without each group, (groups,)."""
        n = self._sizes.sum() - self._sizes
        squares = (self._sizes**2).sum() - self._sizes**2
        return self._mean(
            self._inside.sum() - self._inside, self._total - self._touching, n, squares
        )

    @staticmethod
    def _mean(inside: Floats, total: Floats, n: Floats, squares: Floats) -> tuple[Floats, Floats]:
        pairs = squares - n
        with np.errstate(divide="ignore", invalid="ignore"):
            return (
                np.asarray(inside / pairs, dtype=np.float64),
                np.asarray((total - inside) / (n * (n - 1) - pairs), dtype=np.float64),
            )


class _Means:
    """Averages a vector over the entries, with each group left out once."""

    def __init__(self, values: Floats, codes: Codes, groups: int) -> None:
        self._sums = np.bincount(codes, weights=values, minlength=groups)
        self._sizes = np.bincount(codes, minlength=groups).astype(np.float64)

    def mean(self) -> Floats:
        return np.asarray(self._sums.sum() / self._sizes.sum(), dtype=np.float64)

    def without_one(self) -> Floats:
        rest = self._sizes.sum() - self._sizes
        return np.asarray((self._sums.sum() - self._sums) / rest, dtype=np.float64)


def _jackknife(value: Floats, less: Floats, level: float) -> Estimate:
    groups = len(less)
    error = float(np.sqrt((groups - 1) / groups * ((less - less.mean()) ** 2).sum()))
    half = float(stats.t.ppf((1 + level) / 2, groups - 1)) * error
    at = float(value)
    return Estimate(at, at - half, at + half, error, groups - 1)
