"""What a metric is: per-entry statistics that add up, and a formula over their sum.

Because every statistic is additive, a bootstrap over patients is one matrix product: sum the
statistics per patient once, weight the sums by how often a patient was drawn, apply the formula.
No metric is ever recomputed from text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """One number about a set of answers.

    Attributes:
        name: as printed, e.g. ``mean IoU``.
        higher_is_better: the direction, which a relative gain needs.
        low: least possible value.
        high: greatest possible value (``inf`` if there is none).
        unit: ``""`` for a pure number.
        statistics: gold answer and parsed answer (``None``: the text could not be parsed, which
            counts as wrong and never disappears) to ``k`` floats, ``k`` fixed per metric.
        value: sums of statistics, shape ``(..., k)``, to metric values, shape ``(...)``.
    """

    name: str
    higher_is_better: bool
    low: float
    high: float
    unit: str
    statistics: Callable[[Any, Any], Sequence[float]]
    value: Callable[[Floats], Floats]

    def matrix(self, golds: Sequence[Any], answers: Sequence[Any]) -> Floats:
        """Statistics of all entries, shape ``(n, k)``."""
        rows = [self.statistics(g, a) for g, a in zip(golds, answers, strict=True)]
        return np.asarray(rows, dtype=np.float64)

    def __call__(self, golds: Sequence[Any], answers: Sequence[Any]) -> float:
        """The metric over a whole set; ``nan`` for an empty one."""
        if not golds:
            return float("nan")
        return float(self.value(self.matrix(golds, answers).sum(axis=0)))


def mean_of(statistic: Callable[[Any, Any], float]) -> Callable[[Any, Any], Sequence[float]]:
    """Lift a per-entry number to the additive pair (number, 1) of a mean."""
    return lambda gold, answer: (float(statistic(gold, answer)), 1.0)


def ratio(sums: Floats) -> Floats:
    """Formula of a mean: first sum over second; 0 where the second is 0."""
    numerator, denominator = sums[..., 0], sums[..., 1]
    return np.divide(
        numerator, denominator, out=np.zeros_like(numerator), where=np.asarray(denominator) != 0
    )
