"""Computes confidence intervals of numbers of one Gram matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from imaxray.dynamics.numbers.gram import Gram
from imaxray.dynamics.numbers.jackknife import (
    Floats,
    Indices,
    all_but_one,
    jackknife_error,
    statistics_of,
    strata_codes,
)
from imaxray.dynamics.numbers.spectrum import statistic
from imaxray.errors import ImaxrayError


@dataclass(frozen=True)
class Estimate:
    """Holds a value with its confidence interval.

    Attributes:
        value: Estimate on all entries.
        low: Lower end of the interval.
        high: Upper end of the interval.
        error: Standard error of the value.
        degrees: Degrees of freedom of the t quantile; infinite for a normal quantile.
    """

    value: float
    low: float
    high: float
    error: float
    degrees: float = float("inf")


def subsamples(strata: Sequence[str], size: int, draws: int, seed: int) -> Indices:
    """Draw subsets of ``size`` of the N entries without replacement.

    Every stratum keeps its share of the subset; fractions are rounded by the largest-remainder
    method.

    Returns:
        Indices of the entries, (draws, size) int64, sorted within each subset.

    Raises:
        ImaxrayError: If ``size`` is not below N, or is too small to hold every stratum.
    """
    names, code = np.unique(np.asarray(strata), return_inverse=True)
    n = len(code)
    exact = np.bincount(code) * size / n
    quota = np.floor(exact).astype(int)
    rest = np.argsort(quota - exact, kind="stable")[: size - quota.sum()]
    quota[rest] += 1
    if not 0 < size < n or (quota == 0).any():
        raise ImaxrayError(
            f"Expected a subsample that holds each of {len(names)} strata, smaller than {n} "
            f"entries, but got {size}; use a larger probe."
        )
    random = np.random.default_rng(seed)
    parts = []
    for stratum, count in enumerate(quota):
        members = np.flatnonzero(code == stratum)
        keys = random.random((draws, len(members)))
        parts.append(members[np.argsort(keys, axis=1)[:, :count]])
    return np.sort(np.concatenate(parts, axis=1), axis=1)


def estimate(
    gram: Floats,
    name: str,
    *,
    strata: Sequence[str] | None = None,
    level: float = 0.95,
) -> Estimate:
    """Estimate a statistic of one Gram matrix, with an interval over probes of the same design.

    The standard error is that of the stratified jackknife: error² = Σ_h (n_h − 1)/n_h Σ_i (θ₍ᵢ₎ −
    mean)². The interval uses a t quantile with N minus the number of strata as degrees of freedom.
    For H2 and trace the interval covers the value of the population; for SE, rho and effective rank
    it covers their expectation *at this N*. Gradient norms with a heavy tail make the interval too
    narrow; unit-norm gradients have no such tail.

    Args:
        gram: Gram matrix, (N, N) float64.
        name: Name of the statistic (:data:`STATISTICS`).
        strata: Stratum of each entry (task, or task and length), with two entries or more per
            stratum. If None, all entries form one stratum.
        level: Confidence level of the interval.

    Raises:
        ImaxrayError: If the statistic is unknown, or a stratum has one entry.
    """
    code = strata_codes(strata, len(gram))
    error = jackknife_error(statistics_of(gram, all_but_one(len(gram)), [name])[name], code)
    degrees = len(gram) - int(code.max()) - 1
    return with_error(float(statistic(name)(gram)), error, level, degrees)


def n_curve(
    gram: Floats,
    name: str,
    *,
    strata: Sequence[str] | None = None,
    draws: int = 50,
    seed: int = 0,
) -> list[dict[str, float]]:
    """Compute the statistic at N/4, N/2 and N entries.

    If the ordering of two arms is the same at all three sizes, it does not depend on N.

    Returns:
        One dictionary per size, with ``entries``, ``value`` (mean over subsets) and ``deviation``
        (standard deviation over subsets).
    """
    n = len(gram)
    rows = []
    for size in (n // 4, n // 2):
        index = subsamples(strata or ["all"] * n, size, draws, seed)
        values = statistics_of(gram, index, [name])[name]
        rows.append(
            {"entries": size, "value": float(values.mean()), "deviation": float(values.std(ddof=1))}
        )
    rows.append({"entries": n, "value": float(statistic(name)(gram)), "deviation": 0.0})
    return rows


def over_seeds(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Average one value per seed, with a t interval; for a single seed the interval is NaN."""
    at = np.asarray(values, dtype=np.float64)
    if len(at) < 2:
        nan = float("nan")
        return Estimate(float(at.mean()) if len(at) else nan, nan, nan, nan, 0)
    error = float(at.std(ddof=1)) / len(at) ** 0.5
    return with_error(float(at.mean()), error, level, len(at) - 1)


def probe_error(
    grams: Sequence[Gram], names: Sequence[str], weights: Mapping[str, Floats]
) -> dict[str, dict[str, float]]:
    """Return the standard error over probes of linear combinations of statistics (jackknife).

    Args:
        grams: Gram matrices of several models on the same entries.
        names: Names of the statistics.
        weights: Mapping from the name of a combination to the weight of each Gram matrix.

    Returns:
        Mapping statistic → combination → standard error.
    """
    index = all_but_one(len(grams[0]))
    without = [statistics_of(gram.matrix, index, names) for gram in grams]
    code = strata_codes(grams[0].tasks, len(grams[0]))
    return {
        name: {
            term: jackknife_error(
                np.einsum("r,rn->n", weight, np.stack([of[name] for of in without])), code
            )
            for term, weight in weights.items()
        }
        for name in names
    }


def with_error(value: float, error: float, level: float, degrees: float = float("inf")) -> Estimate:
    """Return a value with the t interval of its standard error."""
    # scipy treats infinite degrees of freedom as the normal distribution.
    half = float(stats.t.ppf((1 + level) / 2, degrees)) * error
    return Estimate(value, value - half, value + half, error, degrees)
