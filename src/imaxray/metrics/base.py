"""Defines a metric: additive per-entry statistics, and a formula over their sum.

Because every statistic is additive, a patient-level bootstrap is one matrix product: sum the
statistics per patient once, weight the sums by how often each patient was drawn, and apply the
formula. No metric is ever recomputed from text. The one exception is a median, for which the
bootstrap weights entries instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaxray.metrics.normalising import Normalisation

Floats = NDArray[np.float64]
Whole = Callable[[Sequence[Any], Sequence[Any]], Floats]


@dataclass(frozen=True)
class Metric:
    """Computes one number from a set of answers.

    Attributes:
        name: Printed name, e.g. ``mean IoU``.
        higher_is_better: Whether larger values are better; a relative gain needs this.
        low: Smallest possible value.
        high: Largest possible value (``inf`` if there is none).
        unit: Unit; ``""`` for a pure number.
        statistics: Function from a gold answer and a parsed answer to ``k`` floats, with ``k``
            fixed per metric. The parsed answer is ``None`` if the text could not be parsed; such an
            answer counts as wrong and is never left out.
        value: Function from sums of statistics, shape ``(..., k)``, to metric values, shape
            ``(...)``; ``nan`` if there was nothing to measure.
        whole: Function that computes the statistics of a whole set at once, shape ``(n, k)``, for
            metrics that need the whole set (CIDEr's document frequencies) or that are slow per
            entry (METEOR); ``None`` for other metrics.
        squad: ``statistics`` under SQuAD's normalisation of texts; ``None`` if the metric does not
            normalise texts.
    """

    name: str
    higher_is_better: bool
    low: float
    high: float
    unit: str
    statistics: Callable[[Any, Any], Sequence[float]]
    value: Callable[[Floats], Floats]
    whole: Whole | None = None
    squad: Callable[[Any, Any], Sequence[float]] | None = None

    def under(self, normalisation: Normalisation) -> Metric:
        """Return the metric with the statistics that it has under a normalisation of texts."""
        if normalisation == "squad" and self.squad is not None:
            return replace(self, statistics=self.squad)
        return self

    @property
    def best(self) -> float:
        """Value of perfect answers; it is 0 for a signed error."""
        if self.higher_is_better:
            return self.high
        return max(self.low, 0.0)

    def matrix(self, golds: Sequence[Any], answers: Sequence[Any]) -> Floats:
        """Return the statistics of all entries, shape ``(n, k)``."""
        if self.whole is not None:
            return self.whole(golds, answers)
        rows = [self.statistics(g, a) for g, a in zip(golds, answers, strict=True)]
        return np.asarray(rows, dtype=np.float64)

    def each(self, statistics: Floats) -> Floats:
        """Return the metric of each entry alone, shape ``(n,)``."""
        return self.value(statistics)

    def of(self, statistics: Floats) -> float:
        """Return the metric over all entries of a statistics matrix."""
        return float(self.value(statistics.sum(axis=0)))

    def resampled(self, statistics: Floats, group: NDArray[np.intp], weights: Floats) -> Floats:
        """Return the metric under each row of ``weights``, shape ``(r,)``.

        Args:
            statistics: Statistics of the entries, shape ``(n, k)``.
            group: Column of ``weights`` that applies to each entry (its patient), shape ``(n,)``.
            weights: How often each group counts in each resample, shape ``(r, groups)``.
        """
        sums = np.zeros((weights.shape[1], statistics.shape[1]))
        np.add.at(sums, group, statistics)
        drawn = weights @ np.bincount(group, minlength=weights.shape[1])
        # a resample without any entry of the task has no value: nan, not 0
        return np.where(drawn > 0, self.value(weights @ sums), np.nan)

    def __call__(self, golds: Sequence[Any], answers: Sequence[Any]) -> float:
        """Return the metric over a whole set; ``nan`` for an empty set.

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
    """Computes the median of its one statistic; of an even number, the mean of the middle two.

    Medians are not additive, so a bootstrap weights the sorted entries.
    """

    def of(self, statistics: Floats) -> float:
        """See :meth:`Metric.of`."""
        return float(np.median(statistics[:, 0]))

    def resampled(self, statistics: Floats, group: NDArray[np.intp], weights: Floats) -> Floats:
        """See :meth:`Metric.resampled`."""
        order = np.argsort(statistics[:, 0], kind="stable")
        sorted_values = statistics[order, 0]
        values = np.full(len(weights), np.nan)
        for number, row in enumerate(weights):  # one row at a time: n × r may not fit in memory
            reached = np.cumsum(row[group[order]])
            if reached[-1] > 0:
                half = reached[-1] / 2
                low = np.searchsorted(reached, half, side="left")
                high = np.searchsorted(reached, half, side="right")
                values[number] = (sorted_values[low] + sorted_values[high]) / 2
        return values


def mean_of(statistic: Callable[[Any, Any], float]) -> Callable[[Any, Any], Sequence[float]]:
    """Turn a per-entry number into the additive pair (number, 1) of a mean."""
    return lambda gold, answer: (float(statistic(gold, answer)), 1.0)


def ratio(sums: Floats) -> Floats:
    """Return the first sum divided by the second, as for a mean; ``nan`` if the second is 0.

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
