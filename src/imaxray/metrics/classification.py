"""Computes metrics of grades and of label sets, and the share of unreadable answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np

from imaxray.metrics.base import Floats, Metric, mean_of, ratio

INVALID: Final = "invalid"
"""Name of the metric that every task has: the share of answers that cannot be read."""


def invalid_rate() -> Metric:
    """Return the metric for the share of answers that could not be read.

    Example:
        >>> invalid_rate()([1, 0, 2, 3], [1, None, 2, 0])
        0.25
    """
    return Metric(INVALID, False, 0.0, 1.0, "", mean_of(lambda _, a: float(a is None)), ratio)


def grade_metrics(classes: int) -> tuple[Metric, Metric, Metric]:
    """Return macro F1 over the fixed classes, accuracy and quadratic weighted kappa.

    The statistics are a confusion matrix of ``classes`` rows (gold) and ``classes + 1`` columns;
    the last column is for unreadable answers. Kappa counts an unreadable answer as the grade
    farthest from gold.

    Example:
        >>> macro_f1, accuracy, kappa = grade_metrics(4)
        >>> accuracy([0, 1, 2, 3], [0, 1, 2, 2])
        0.75
    """

    def cell(gold: int, answer: int | None) -> Sequence[float]:
        counts = np.zeros(classes * (classes + 1))
        counts[gold * (classes + 1) + (classes if answer is None else answer)] = 1.0
        return list(map(float, counts))

    def table(sums: Floats) -> Floats:
        return sums.reshape(*sums.shape[:-1], classes, classes + 1)

    def macro_f1(sums: Floats) -> Floats:
        counts = table(sums)
        hit = np.diagonal(counts[..., :classes], axis1=-2, axis2=-1)
        given, asked = counts[..., :classes].sum(axis=-2), counts.sum(axis=-1)
        return np.asarray(_safe(2 * hit, given + asked).mean(axis=-1))

    def accuracy(sums: Floats) -> Floats:
        counts = table(sums)
        hit = np.diagonal(counts[..., :classes], axis1=-2, axis2=-1).sum(axis=-1)
        return _safe(hit, counts.sum(axis=(-2, -1)))

    def kappa(sums: Floats) -> Floats:
        counts = table(sums)
        square = counts[..., :classes].copy()
        for gold in range(classes):
            far = 0 if gold > (classes - 1) / 2 else classes - 1
            square[..., gold, far] += counts[..., gold, classes]
        grades = np.arange(classes)
        weight = (grades[:, None] - grades[None, :]) ** 2
        total = square.sum(axis=(-2, -1))
        chance = square.sum(axis=-1)[..., :, None] * square.sum(axis=-2)[..., None, :]
        seen = (weight * square).sum(axis=(-2, -1))
        expected = _safe((weight * chance).sum(axis=(-2, -1)), total)
        # one class on both sides: no disagreement is possible, and none is seen
        return np.asarray(np.where(expected > 0, 1 - _safe(seen, expected), 0.0))

    return (
        Metric("macro F1", True, 0.0, 1.0, "", cell, macro_f1),
        Metric("accuracy", True, 0.0, 1.0, "", cell, accuracy),
        Metric("QWK", True, -1.0, 1.0, "", cell, kappa),
    )


def confusion(statistics: Floats, classes: int) -> list[list[int]]:
    """Return the confusion matrix from the statistics of :func:`grade_metrics`.

    Rows are gold grades and columns are answers; the last column is for unreadable answers.

    Example:
        >>> accuracy = grade_metrics(2)[1]
        >>> confusion(accuracy.matrix([0, 1, 1], [0, 1, None]), classes=2)
        [[1, 0, 0], [0, 1, 1]]
    """
    counts = statistics.sum(axis=0).reshape(classes, classes + 1)
    return [[int(count) for count in row] for row in counts]


def label_metrics(labels: Sequence[str]) -> tuple[Metric, Metric, Metric]:
    """Return macro, micro and example F1 of a label set.

    A gold answer maps a label to 1 or 0. A label that is missing there is unknown and masked: it
    does not matter whether the answer names it. A parsed answer maps the named labels to 1. Macro
    F1 is the mean over the labels that have a gold positive in the scored set.
    """
    index = {label: number for number, label in enumerate(labels)}

    def counts(gold: Mapping[str, int], answer: Mapping[str, int] | None) -> Sequence[float]:
        cells = np.zeros((len(labels), 3))  # true positive, false positive, false negative
        for label, value in gold.items():
            named = bool(answer) and answer.get(label) == 1  # type: ignore[union-attr]
            if named:
                cells[index[label], 0 if value == 1 else 1] += 1
            elif value == 1:
                cells[index[label], 2] += 1
        return list(map(float, cells.ravel()))

    def table(sums: Floats) -> Floats:
        return sums.reshape(*sums.shape[:-1], len(labels), 3)

    def macro(sums: Floats) -> Floats:
        cells = table(sums)
        tp, fp, fn = cells[..., 0], cells[..., 1], cells[..., 2]
        seen = tp + fn > 0
        return _safe((_safe(2 * tp, 2 * tp + fp + fn) * seen).sum(axis=-1), seen.sum(axis=-1))

    def micro(sums: Floats) -> Floats:
        total = table(sums).sum(axis=-2)
        tp, fp, fn = total[..., 0], total[..., 1], total[..., 2]
        return _safe(2 * tp, 2 * tp + fp + fn)

    def example(gold: Mapping[str, int], answer: Mapping[str, int] | None) -> float:
        if answer is None:
            return 0.0
        positive = {label for label, value in gold.items() if value == 1}
        named = {label for label, value in answer.items() if value == 1 and label in gold}
        if not positive and not named:
            return 1.0
        return 2 * len(positive & named) / (len(positive) + len(named))

    return (
        Metric("macro F1", True, 0.0, 1.0, "", counts, macro),
        Metric("micro F1", True, 0.0, 1.0, "", counts, micro),
        Metric("example F1", True, 0.0, 1.0, "", mean_of(example), ratio),
    )


def set_f1(
    name: str,
    labels: Sequence[str],
    gold_set: Callable[[Any], Collection[str]],
    answer_set: Callable[[Any], Collection[str]],
) -> tuple[Metric, Metric]:
    """Return macro and micro F1 of two sets of labels, where no label is unknown.

    Macro F1 is the mean over the labels that occur in a gold or a parsed answer of the scored set,
    so an invented label counts 0. (RadEval divides by the number of all labels, which is the same
    if all labels occur.)

    Args:
        name: Text before ``macro F1`` and ``micro F1``.
        labels: All labels.
        gold_set: Function that returns the labels of a gold answer.
        answer_set: Function that returns the labels of a parsed answer; an unreadable answer is
            passed as ``None``.
    """

    def counts(gold: Any, answer: Any) -> Sequence[float]:
        asked, given = gold_set(gold), answer_set(answer)
        return [
            float(cell)
            for label in labels
            for cell in (
                label in asked and label in given,
                label not in asked and label in given,
                label in asked and label not in given,
            )
        ]

    def table(sums: Floats) -> Floats:
        return sums.reshape(*sums.shape[:-1], len(labels), 3)

    def macro(sums: Floats) -> Floats:
        cells = table(sums)
        bottom = 2 * cells[..., 0] + cells[..., 1] + cells[..., 2]
        return _safe(_safe(2 * cells[..., 0], bottom).sum(axis=-1), (bottom > 0).sum(axis=-1))

    def micro(sums: Floats) -> Floats:
        total = table(sums).sum(axis=-2)
        return _safe(2 * total[..., 0], 2 * total[..., 0] + total[..., 1] + total[..., 2])

    return (
        Metric(f"{name} macro F1", True, 0.0, 1.0, "", counts, macro),
        Metric(f"{name} micro F1", True, 0.0, 1.0, "", counts, micro),
    )


def _safe(numerator: Any, denominator: Any) -> Floats:
    top, bottom = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.asarray(np.divide(top, bottom, out=np.zeros_like(top), where=bottom != 0))
