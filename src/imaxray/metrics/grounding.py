"""Computes metrics of located boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from imaxray.boxes import Box, iou
from imaxray.metrics.base import Metric, mean_of, ratio


def matched_ious(gold: Sequence[Box], answer: Sequence[Box]) -> list[float]:
    """Return the IoUs of the best one-to-one (Hungarian) matching, one number per matched pair.

    Example:
        >>> matched_ious([(0, 0, 10, 10), (20, 0, 30, 10)], [(20, 0, 30, 20), (0, 0, 10, 10)])
        [1.0, 0.5]
    """
    table = np.array([[iou(g, a) for a in answer] for g in gold])
    rows, columns = linear_sum_assignment(-table)
    return [float(value) for value in table[rows, columns]]


def _mean_iou(gold: Sequence[Box], answer: Sequence[Box] | None) -> float:
    if not answer:
        return 0.0
    # surplus and missing boxes count as pairs with IoU 0
    return sum(matched_ious(gold, answer)) / max(len(gold), len(answer))


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
        # a small tolerance, so that an IoU of exactly one half counts despite binary floats
        return float(_mean_iou(gold, answer) >= threshold - 1e-9)

    return Metric(f"Acc@{threshold:g}", True, 0.0, 1.0, "", mean_of(hit), ratio)
