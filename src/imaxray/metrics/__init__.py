"""Defines metrics with direction, range and unit; their statistics add up in a bootstrap."""

from imaxray.metrics.base import Floats, Median, Metric, mean_of, ratio
from imaxray.metrics.captions import caption_metrics, missing_for_captions
from imaxray.metrics.classification import (
    INVALID,
    confusion,
    grade_metrics,
    invalid_rate,
    label_metrics,
    set_f1,
)
from imaxray.metrics.extras import (
    ExtraMetrics,
    get_extra,
    list_extras,
    names_from_outside,
    plugin_of_extra,
    reasons_not_computed,
)
from imaxray.metrics.grounding import accuracy_at, average_precision, mean_iou
from imaxray.metrics.length import MAX_WORDS, is_long
from imaxray.metrics.normalising import NORMALISATION, Normalisation, normalise, squad
from imaxray.metrics.radiology import missing_for_radiology, radiology_metrics
from imaxray.metrics.regression import (
    bland_altman,
    mean_absolute_error,
    median_absolute_error,
    within,
)
from imaxray.metrics.text import (
    best_of,
    bleu_signature,
    corpus_bleu,
    exact,
    mean_metric,
    rouge_l,
    token_f1,
    token_recall,
)

__all__ = [
    "INVALID",
    "MAX_WORDS",
    "NORMALISATION",
    "ExtraMetrics",
    "Floats",
    "Median",
    "Metric",
    "Normalisation",
    "accuracy_at",
    "average_precision",
    "best_of",
    "bland_altman",
    "bleu_signature",
    "caption_metrics",
    "confusion",
    "corpus_bleu",
    "exact",
    "get_extra",
    "grade_metrics",
    "invalid_rate",
    "is_long",
    "label_metrics",
    "list_extras",
    "mean_absolute_error",
    "mean_iou",
    "mean_metric",
    "mean_of",
    "median_absolute_error",
    "missing_for_captions",
    "missing_for_radiology",
    "names_from_outside",
    "normalise",
    "plugin_of_extra",
    "radiology_metrics",
    "ratio",
    "reasons_not_computed",
    "rouge_l",
    "set_f1",
    "squad",
    "token_f1",
    "token_recall",
    "within",
]
