"""Metrics: each knows its direction, range and unit, and is additive, so that it bootstraps."""

from imaxray.metrics._base import Floats, Metric, mean_of, ratio
from imaxray.metrics.classification import grade_metrics, invalid_rate, label_metrics
from imaxray.metrics.grounding import accuracy_at, mean_iou
from imaxray.metrics.regression import mean_absolute_error, within
from imaxray.metrics.text import (
    best_of,
    corpus_bleu,
    exact,
    mean_metric,
    normalise,
    rouge_l,
    token_f1,
    token_recall,
)

__all__ = [
    "Floats",
    "Metric",
    "accuracy_at",
    "best_of",
    "corpus_bleu",
    "exact",
    "grade_metrics",
    "invalid_rate",
    "label_metrics",
    "mean_absolute_error",
    "mean_iou",
    "mean_metric",
    "mean_of",
    "normalise",
    "ratio",
    "rouge_l",
    "token_f1",
    "token_recall",
    "within",
]
