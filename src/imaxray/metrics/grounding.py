"""Computes metrics of located boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from imaxray.boxes import Box, iou
from imaxray.metrics.base import Metric, mean_of, ratio

_HAIR: Final = 1e-9
"""Tolerance, so that an IoU of exactly one half counts despite binary floats."""


def matched_ious(gold: Sequence[Box], answer: Sequence[Box]) -> list[float]:
    """Return the IoUs of the best one-to-one (Hungarian) matching, one number per matched pair.

    Example:
        >>> matched_ious([(0, 0, 10, 10), (20, 0, 30, 10)], [(20, 0, 30, 20), (0, 0, 10, 10)])
        [1.0, 0.5]
    """
    from scipy.optimize import (
        linear_sum_assignment,
    )  # late: the command line and the viewer start without scipy

    table = np.array([[iou(g, a) for a in answer] for g in gold])
    rows, columns = linear_sum_assignment(-table)
    return [float(value) for value in table[rows, columns]]


def _mean_iou(gold: Sequence[Box], answer: Sequence[Box] | None) -> float:
    if not answer:
        return 0.0
    # surplus and missing boxes count as pairs with IoU 0
    return sum(matched_ious(gold, answer)) / max(len(gold), len(answer))


def _hits(gold: Sequence[Box], answer: Sequence[Box], threshold: float) -> int:
    """Return the largest number of pairs of a gold box and an answered box that overlap enough."""
    from scipy.optimize import (
        linear_sum_assignment,
    )  # late: the command line and the viewer start without scipy

    close = np.array([[iou(g, a) >= threshold - _HAIR for a in answer] for g in gold])
    rows, columns = linear_sum_assignment(close, maximize=True)
    return int(close[rows, columns].sum())


def average_precision(threshold: float) -> Metric:
    """Return the mean over entries of the average precision at an IoU of ``threshold``.

    Each entry is a query of its own, and the value is the mean over queries: its class is a free
    phrase, so that there are no classes to average over. Answered boxes have no confidence.
    Therefore all boxes of an answer share one rank, and the precision-recall curve has one point.
    The area under it (all ties at one threshold, as in scikit-learn's ``average_precision_score``)
    is precision × recall. It equals the accuracy at this IoU if all entries have one gold box and
    one answered box. It is lower than a detector's average precision with useful confidences.

    Example:
        >>> gold = [(0, 0, 10, 10), (20, 0, 30, 10)]
        >>> average_precision(0.5)([gold], [[(0, 0, 10, 10)]])  # precision 1, recall 1/2
        0.5
    """

    def area(gold: Sequence[Box], answer: Sequence[Box] | None) -> float:
        if not answer:
            return 0.0
        hits = _hits(gold, answer, threshold)
        return (hits / len(answer)) * (hits / len(gold))

    return Metric(f"mAP@{threshold:g}", True, 0.0, 1.0, "", mean_of(area), ratio)


def mean_iou() -> Metric:
    """Return mean IoU over all entries; failures count 0, several boxes are matched one to one.

    Example:
        >>> mean_iou()([[(0, 0, 10, 10)]], [[(0, 0, 10, 20)]])
        0.5
    """
    return Metric("mean IoU", True, 0.0, 1.0, "", mean_of(_mean_iou), ratio)


def accuracy_at(threshold: float) -> Metric:
    """Return the share of entries whose (mean matched) IoU is at least ``threshold``.

    Example:
        >>> accuracy_at(0.5)([[(0, 0, 10, 10)]] * 2, [[(0, 0, 10, 20)], None])
        0.5
    """

    def hit(gold: Sequence[Box], answer: Sequence[Box] | None) -> float:
        return float(_mean_iou(gold, answer) >= threshold - _HAIR)

    return Metric(f"Acc@{threshold:g}", True, 0.0, 1.0, "", mean_of(hit), ratio)
