"""Computes model-based report metrics through RadEval (extra ``radiology``).

The metrics are RadGraph F1 (``partial``: token, label and whether it has a relation; radgraph-xl),
CheXbert F1 (14 labels, uncertain counts as present) and GREEN (a 7B judge). RadEval downloads their
weights, and its GREEN runs code from the model's repository, so these metrics are computed only
where a user names them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import numpy as np

from imaxray.errors import ImaxrayError
from imaxray.metrics.base import Floats, Metric, ratio
from imaxray.metrics.length import bounded

EXTRA: Final = "radiology"
_CHEXBERT: Final = 14
_GREEN_MODEL: Final = "StanfordAIMI/GREEN-radllama2-7b"


def missing_for_radiology() -> str | None:
    """Return a sentence that says what RadGraph, CheXbert and GREEN lack; ``None`` if nothing."""
    try:
        _package()
    except ImportError:
        return (
            "Expected the package RadEval for RadGraph, CheXbert and GREEN, but it is not "
            f"installed; install imaxray[{EXTRA}] or leave {EXTRA} out."
        )
    return None


def radiology_metrics(text: Callable[[Any], str]) -> tuple[Metric, ...]:
    """Return RadGraph F1, CheXbert macro and micro F1, and GREEN.

    Args:
        text: Function that returns the text of an answer.
    """

    def texts(values: Sequence[Any]) -> list[str]:
        return ["" if value is None else text(value) for value in values]

    def read(answers: Sequence[Any]) -> list[str]:
        return [bounded(answer) for answer in texts(answers)]

    def mean(metric: str, key: str) -> Callable[[Sequence[Any], Sequence[Any]], Floats]:
        def whole(golds: Sequence[Any], answers: Sequence[Any]) -> Floats:
            scores = _per_sample(metric, key, texts(golds), read(answers))
            return np.column_stack([scores, np.ones(len(scores))])

        return whole

    def chexbert(golds: Sequence[Any], answers: Sequence[Any]) -> Floats:
        asked, given = _chexbert_labels(texts(golds)), _chexbert_labels(read(answers))
        cells = np.stack([asked * given, (1 - asked) * given, asked * (1 - given)], axis=-1)
        return cells.reshape(len(cells), -1)

    def f1(cells: Floats) -> Floats:
        top = 2 * cells[..., 0]
        bottom = top + cells[..., 1] + cells[..., 2]
        return np.divide(top, bottom, out=np.zeros_like(top), where=bottom != 0)

    def table(sums: Floats) -> Floats:
        return sums.reshape(*sums.shape[:-1], _CHEXBERT, 3)

    def macro(sums: Floats) -> Floats:
        return np.asarray(f1(table(sums)).mean(axis=-1))

    def micro(sums: Floats) -> Floats:
        return f1(table(sums).sum(axis=-2))

    radgraph = mean("radgraph", "radgraph_partial")
    green = mean("green", "green")
    made = (
        ("RadGraph F1", ratio, radgraph),
        ("CheXbert macro F1", macro, chexbert),
        ("CheXbert micro F1", micro, chexbert),
        ("GREEN", ratio, green),
    )
    return tuple(
        Metric(name, True, 0.0, 1.0, "", _one(whole), value, whole) for name, value, whole in made
    )


def _one(whole: Callable[[Sequence[Any], Sequence[Any]], Floats]) -> Any:
    return lambda gold, answer: [float(value) for value in whole([gold], [answer])[0]]


def _package() -> Any:
    try:
        return importlib.import_module("radeval")
    except ImportError:
        return importlib.import_module("RadEval")  # name of the package before 2.0


def _required() -> Any:
    missing = missing_for_radiology()
    if missing is not None:
        raise ImaxrayError(missing)
    return _package()


@cache
def _evaluator(metric: str) -> Any:
    return _required().RadEval(metrics=[metric], per_sample=True)


def _per_sample(metric: str, key: str, golds: list[str], answers: list[str]) -> Floats:
    """Return RadEval's score of each pair; an empty text or one that it cannot judge scores 0."""
    scores = np.zeros(len(golds))
    # RadEval's models fail on empty texts; these score 0 by our rule and are not passed on
    usable = [k for k, (g, a) in enumerate(zip(golds, answers, strict=True)) if g and a]
    if usable:
        result = _evaluator(metric)(
            refs=[golds[k] for k in usable], hyps=[answers[k] for k in usable]
        )
        if key not in result or len(result[key]) != len(usable):
            raise ImaxrayError(
                f"Expected {len(usable)} scores {key} from RadEval, but got "
                f"{', '.join(sorted(result))}; use a version that returns per_sample scores."
            )
        scores[usable] = [0.0 if value is None else float(value) for value in result[key]]
    return scores


@cache
def _chexbert() -> Any:
    name = _required().__name__
    return importlib.import_module(f"{name}.metrics.f1chexbert.f1chexbert").F1CheXbert()


def _chexbert_labels(texts: list[str]) -> Floats:
    """Return CheXbert's 14 labels, shape ``(n, 14)``.

    Uncertain labels count as present, and an empty text has no labels.
    """
    labels = np.zeros((len(texts), _CHEXBERT))
    usable = [k for k, text in enumerate(texts) if text]
    if usable:
        labels[usable] = _chexbert().get_labels([texts[k] for k in usable], mode="rrg")
    return labels


MODELS: Final = {"RadGraph F1": "radgraph-xl", "CheXbert": "chexbert", "GREEN": _GREEN_MODEL}
"""Model that RadEval loads for each metric."""
