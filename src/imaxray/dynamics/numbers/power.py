"""Says how small a difference over seeds could have been found, and how many seeds one needs."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from scipy import optimize, special, stats

from imaxray.dynamics.numbers.intervals import Estimate

POWER: Final = 0.8
"""Share of repetitions of a study in which an effect of the stated size is found."""

_MOST_SEEDS: Final = 100_000
_NODES, _HALVES = np.polynomial.legendre.leggauss(400)
_QUANTILES: Final = (_NODES + 1) / 2
_WEIGHTS: Final = _HALVES / 2


def found_share(effect: float, deviation: float, seeds: int, *, level: float = 0.95) -> float:
    """Return how often a true effect is found by a t interval over seeds that leaves out 0.

    Args:
        effect: True mean difference.
        deviation: Standard deviation of the differences of single seeds.
        seeds: Number of seeds, two or more.
        level: Level of the interval.

    Example:
        >>> print(round(found_share(0.0, 1.0, 3), 3))  # no effect: false findings
        0.05
    """
    if deviation == 0:
        return 0.0 if effect == 0 else 1.0
    bound = stats.t.ppf((1 + level) / 2, seeds - 1)
    shift = abs(effect) / deviation * math.sqrt(seeds)
    # over the distribution of the measured deviation; scipy's non-central t fails far out
    measured = np.sqrt(stats.chi2.ppf(_QUANTILES, seeds - 1) / (seeds - 1))
    found = special.ndtr(shift - bound * measured) + special.ndtr(-shift - bound * measured)
    return float(found @ _WEIGHTS)


def smallest_effect(estimate: Estimate, *, level: float = 0.95, power: float = POWER) -> float:
    """Return the smallest true difference that a study of this error would find.

    Args:
        estimate: Difference over seeds with its standard error and degrees of freedom
            (:func:`over_seeds`, :func:`contrast`).
        level: Level of the interval that must leave out 0.
        power: Share of repetitions in which it is found.

    Returns:
        The difference; NaN with fewer than two seeds, 0 if the seeds do not differ.

    Example:
        >>> one = Estimate(0.0, -0.1, 0.1, 0.1, 2)
        >>> print(round(smallest_effect(one), 3))  # three seeds with a standard error of 0.1
        0.565
    """
    if not estimate.degrees > 0 or math.isnan(estimate.error):
        return math.nan
    if estimate.error == 0:
        return 0.0
    seeds = estimate.degrees + 1
    if math.isinf(estimate.degrees):
        return float((stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(power)) * estimate.error)
    deviation = estimate.error * math.sqrt(seeds)
    high = estimate.error
    while found_share(high, deviation, round(seeds), level=level) < power:
        high *= 2
    return float(
        optimize.brentq(
            lambda effect: found_share(effect, deviation, round(seeds), level=level) - power,
            0.0, high, xtol=1e-6 * high,
        )
    )  # fmt: skip


def seeds_needed(
    effect: float, deviation: float, *, level: float = 0.95, power: float = POWER
) -> int | None:
    """Return the number of seeds by which a true effect is found.

    Args:
        effect: True mean difference.
        deviation: Standard deviation of the differences of single seeds.
        level: Level of the interval that must leave out 0.
        power: Share of repetitions in which it is found.

    Returns:
        The number of seeds, at least 2; None if a hundred thousand do not suffice.

    Example:
        >>> seeds_needed(1.0, 1.0), seeds_needed(0.1, 1.0)
        (10, 787)
    """
    if effect == 0 or not math.isfinite(deviation):
        return None
    low, high = 1, 2  # 1 seed never suffices
    while found_share(effect, deviation, high, level=level) < power:
        low, high = high, high * 2
        if high > _MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = found_share(effect, deviation, middle, level=level) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high
