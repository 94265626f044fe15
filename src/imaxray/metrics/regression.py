"""Errors of a measured number."""

from __future__ import annotations

from imaxray.metrics._base import Metric, mean_of, ratio


def mean_absolute_error(worst: float, unit: str = "") -> Metric:
    """MAE; an unreadable answer counts as ``worst``, the greatest error of the range."""

    def error(gold: float, answer: float | None) -> float:
        return worst if answer is None else min(abs(gold - answer), worst)

    return Metric("MAE", False, 0.0, worst, unit, mean_of(error), ratio)


def within(tolerance: float) -> Metric:
    """Share of answers at most ``tolerance`` off; an unreadable one is off."""

    def hit(gold: float, answer: float | None) -> float:
        # a hair of slack: 0.50 against 0.55 is within 0.05, whatever binary floats say
        return float(answer is not None and abs(gold - answer) <= tolerance + 1e-9)

    return Metric(f"within {tolerance:g}", True, 0.0, 1.0, "", mean_of(hit), ratio)
