"""Computes error metrics of measured numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imaxray.metrics.base import Floats, Median, Metric, mean_of, ratio


def _error(gold: float, answer: float | None, worst: float) -> float:
    return worst if answer is None else min(abs(gold - answer), worst)


def mean_absolute_error(worst: float, unit: str = "") -> Metric:
    """Return the MAE; an unreadable answer counts as ``worst``, the largest error of the range.

    Example:
        >>> round(mean_absolute_error(worst=1.0)([0.5, 0.4], [0.52, 0.44]), 2)
        0.03
    """

    def error(gold: float, answer: float | None) -> float:
        return _error(gold, answer, worst)

    return Metric("MAE", False, 0.0, worst, unit, mean_of(error), ratio)


def median_absolute_error(worst: float, unit: str = "") -> Metric:
    """Return the median absolute error; an unreadable answer counts as ``worst``."""

    def error(gold: float, answer: float | None) -> Sequence[float]:
        return (_error(gold, answer, worst),)

    return Median("median AE", False, 0.0, worst, unit, error, lambda sums: sums[..., 0])


def within(tolerance: float) -> Metric:
    """Return the share of answers with an error of at most ``tolerance``; unreadable ones fail."""

    def hit(gold: float, answer: float | None) -> float:
        # a small tolerance, so that 0.50 is within 0.05 of 0.55 despite binary floats
        return float(answer is not None and abs(gold - answer) <= tolerance + 1e-9)

    return Metric(f"within {tolerance:g}", True, 0.0, 1.0, "", mean_of(hit), ratio)


def bland_altman(worst: float, unit: str = "") -> tuple[Metric, Metric]:
    """Return bias (mean of answer - gold; best is 0) and half-width of the limits of agreement.

    The limits of agreement cover 95 % (Bland and Altman 1986: 1.96 standard deviations, n - 1).
    Both metrics use readable answers only, because an unreadable answer has no sign; read them
    together with the invalid rate. The bias is ``nan`` without readable answers, and the limits are
    ``nan`` with fewer than two.
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
