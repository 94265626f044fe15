"""Errors of a measured number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imaxray.metrics.base import Floats, Median, Metric, mean_of, ratio


def _error(gold: float, answer: float | None, worst: float) -> float:
    return worst if answer is None else min(abs(gold - answer), worst)


def mean_absolute_error(worst: float, unit: str = "") -> Metric:
    """MAE; an unreadable answer counts as ``worst``, the greatest error of the range.

    Example:
        >>> round(mean_absolute_error(worst=1.0)([0.5, 0.4], [0.52, 0.44]), 2)
        0.03
    """

    def error(gold: float, answer: float | None) -> float:
        return _error(gold, answer, worst)

    return Metric("MAE", False, 0.0, worst, unit, mean_of(error), ratio)


def median_absolute_error(worst: float, unit: str = "") -> Metric:
    """Median absolute error; an unreadable answer counts as ``worst``."""

    def error(gold: float, answer: float | None) -> Sequence[float]:
        return (_error(gold, answer, worst),)

    return Median("median AE", False, 0.0, worst, unit, error, lambda sums: sums[..., 0])


def within(tolerance: float) -> Metric:
    """Share of answers at most ``tolerance`` off; an unreadable one is off."""

    def hit(gold: float, answer: float | None) -> float:
        # a hair of slack: 0.50 against 0.55 is within 0.05, whatever binary floats say
        return float(answer is not None and abs(gold - answer) <= tolerance + 1e-9)

    return Metric(f"within {tolerance:g}", True, 0.0, 1.0, "", mean_of(hit), ratio)


def bland_altman(worst: float, unit: str = "") -> tuple[Metric, Metric]:
    """Bias (mean of answer - gold; best is 0) and half-width of the 95 % limits of agreement.

    Both are of the readable answers only (Bland and Altman 1986: 1.96 standard deviations, n - 1):
    an unreadable answer has no sign. Read them beside the invalid rate. ``nan`` with no (limits:
    less than two) readable answers.
    """

    def statistics(gold: float, answer: float | None) -> Sequence[float]:
        if answer is None:
            return (0.0, 0.0, 0.0)
        return (answer - gold, 1.0, (answer - gold) ** 2)

    def limits(sums: Floats) -> Floats:
        total, count, squares = sums[..., 0], sums[..., 1], sums[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = np.maximum(squares - total**2 / count, 0.0) / (count - 1)
            return np.where(count > 1, 1.96 * np.sqrt(variance), np.nan)

    return (
        Metric("bias", False, -worst, worst, unit, statistics, ratio),
        Metric("limits of agreement", False, 0.0, 4 * worst, unit, statistics, limits),
    )
