"""What a metric is: per-entry statistics that add up, and a formula over their sum.

Because every statistic is additive, a bootstrap over patients is one matrix product: sum the
statistics per patient once, weight the sums by how often a patient was drawn, apply the formula.
No metric is ever recomputed from text. The one exception, a median, weights entries instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = Callable[[Sequence[Any], Sequence[Any]], Floats]


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
        value: sums of statistics, shape ``(..., k)``, to metric values, shape ``(...)``; ``nan``
            where there was nothing to measure.
        whole: statistics of a whole set at once, shape ``(n, k)``, for what a single entry does
            not decide alone (CIDEr's document frequencies) or what is slow one by one (METEOR).
    """

    name: str
    higher_is_better: bool
    low: float
    high: float
    unit: str
    statistics: Callable[[Any, Any], Sequence[float]]
    value: Callable[[Floats], Floats]
    whole: Whole | None = None

    @property
    def best(self) -> float:
        """The value of perfect answers; a signed error is best at 0."""
        if self.higher_is_better:
            return self.high
        return max(self.low, 0.0)

    def matrix(self, golds: Sequence[Any], answers: Sequence[Any]) -> Floats:
        """Statistics of all entries, shape ``(n, k)``."""
        if self.whole is not None:
            return self.whole(golds, answers)
        rows = [self.statistics(g, a) for g, a in zip(golds, answers, strict=True)]
        return np.asarray(rows, dtype=np.float64)

    def each(self, statistics: Floats) -> Floats:
        """The metric of each entry alone, shape ``(n,)``."""
        return self.value(statistics)

    def of(self, statistics: Floats) -> float:
        """The metric over the entries of a statistics matrix."""
        return float(self.value(statistics.sum(axis=0)))

    def resampled(self, statistics: Floats, group: NDArray[np.intp], weights: Floats) -> Floats:
        """The metric under each row of ``weights``, shape ``(r,)``.

        Args:
            statistics: shape ``(n, k)``.
            group: column of ``weights`` that each entry goes by (its patient), shape ``(n,)``.
            weights: how often each group counts, shape ``(r, groups)``.
        """
        sums = np.zeros((weights.shape[1], statistics.shape[1]))
        np.add.at(sums, group, statistics)
        drawn = weights @ np.bincount(group, minlength=weights.shape[1])
        # a resample that drew no entry of the task says nothing, least of all 0
        return np.where(drawn > 0, self.value(weights @ sums), np.nan)

    def __call__(self, golds: Sequence[Any], answers: Sequence[Any]) -> float:
        """The metric over a whole set; ``nan`` for an empty one.

        Example:
            >>> from imaxray.metrics import mean_absolute_error
            >>> error = mean_absolute_error(worst=1.0)
            >>> error([0.50, 0.40], [0.52, None])  # the second answer is unreadable
            0.51
        """
        if not golds:
            return float("nan")
        return self.of(self.matrix(golds, answers))


@dataclass(frozen=True)
class Median(Metric):
    """A metric that is the median of its one statistic; an even number takes the middle's mean.

    Medians do not add up: a bootstrap weights the sorted entries.
    """

    def of(self, statistics: Floats) -> float:
        """See :meth:`Metric.of`."""
        return float(np.median(statistics[:, 0]))

    def resampled(self, statistics: Floats, group: NDArray[np.intp], weights: Floats) -> Floats:
        """See :meth:`Metric.resampled`."""
        order = np.argsort(statistics[:, 0], kind="stable")
        sorted_values = statistics[order, 0]
        values = np.full(len(weights), np.nan)
        for number, row in enumerate(weights):  # a row at a time: n × r may not fit in memory
            reached = np.cumsum(row[group[order]])
            if reached[-1] > 0:
                half = reached[-1] / 2
                low = np.searchsorted(reached, half, side="left")
                high = np.searchsorted(reached, half, side="right")
                values[number] = (sorted_values[low] + sorted_values[high]) / 2
        return values


def mean_of(statistic: Callable[[Any, Any], float]) -> Callable[[Any, Any], Sequence[float]]:
    """Lift a per-entry number to the additive pair (number, 1) of a mean."""
    return lambda gold, answer: (float(statistic(gold, answer)), 1.0)


def ratio(sums: Floats) -> Floats:
    """Formula of a mean: first sum over second; ``nan`` where the second is 0.

    Example:
        >>> ratio(np.array([[3.0, 4.0], [0.0, 0.0]]))
        array([0.75,  nan])
    """
    numerator, denominator = sums[..., 0], sums[..., 1]
    return np.divide(
        numerator,
        denominator,
        out=np.full_like(numerator, np.nan),
        where=np.asarray(denominator) != 0,
    )
