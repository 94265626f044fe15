"""Computes standard errors of numbers of Gram matrices by leaving one entry out at a time.

The bootstrap with replacement is biased for spectra, because an entry that is drawn twice lowers
the rank of the matrix. Standard errors therefore come from the jackknife, that is, from the subsets
that lack one entry. The jackknife is stratified, because the task mix changes every statistic and a
probe fixes the task mix. Leaving out more entries at a time was tried and gave intervals that cover
less, because such subsets have another N.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imaxray.dynamics.numbers.spectrum import several
from imaxray.errors import ImaxrayError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def strata_codes(strata: Sequence[str] | None, n: int) -> Indices:
    """Return the stratum number of each entry, (N,) int64."""
    _, code = np.unique(np.asarray(["all"] * n if strata is None else strata), return_inverse=True)
    if len(code) != n or (np.bincount(code) < 2).any():
        raise ImaxrayError(
            f"Expected a stratum for each of {n} entries and two entries or more in each, but got "
            f"{len(code)} entries in strata of {np.bincount(code).min()} or more; merge strata."
        )
    return np.asarray(code, dtype=np.int64)


def all_but_one(n: int) -> Indices:
    """Return the indices of the subsets that lack one entry, (N, N − 1) int64."""
    return np.array([[j for j in range(n) if j != i] for i in range(n)])


def jackknife_error(values: Floats, code: Indices) -> float:
    """Return the jackknife standard error.

    Args:
        values: Statistic without each entry, (N,).
        code: Stratum number of each entry, (N,).
    """
    sizes = np.bincount(code)
    means = np.bincount(code, values) / sizes
    squares = np.bincount(code, (values - means[code]) ** 2)
    return float(np.sqrt(((sizes - 1) / sizes * squares).sum()))


def statistics_of(gram: Floats, index: Indices, names: Sequence[str]) -> dict[str, Floats]:
    """Compute statistics on each subset of entries, (subsets,) each, in blocks of about 64 MB."""
    step = max(1, 2**23 // index.shape[1] ** 2)
    parts = []
    for start in range(0, len(index), step):
        at = index[start : start + step]
        parts.append(several(gram[at[:, :, None], at[:, None, :]], names))
    return {name: np.concatenate([part[name] for part in parts]) for name in names}
