"""Findings: which of a fixed set of labels are present.

Gold answer: ``{label: 1 | 0 | -1}`` over the stated labels; unknown labels are absent, never
negative. Parsed answer: ``{label: 1}`` of the named ones. The target lists the positive labels, or
``No Finding``; uncertain ones are neither listed nor scored.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from imaxray.boxes import Box
from imaxray.metrics import Metric, invalid_rate, label_metrics
from imaxray.schema import FINDINGS, Boxes
from imaxray.tasks._base import Task, json_series, provenance, strip_wrapping

_NONE: Final = "No Finding"
_LABELS: Final = {label.lower(): label for label in FINDINGS}
_NEGATION: Final = re.compile(r"\b(no|without|negative for|absence of|not)\b", re.IGNORECASE)
_NOT_AN_ABNORMALITY: Final = (_NONE, "Support Devices")


def known(gold: Mapping[str, int]) -> dict[str, int]:
    """The labels to score: stated and certain ones; ``No Finding`` follows from the others.

    Releases leave ``No Finding`` blank when something is found, so it is 0 then, and unknown where
    nothing is stated positive.
    """
    certain = {label: value for label, value in gold.items() if value in (0, 1)}
    if any(v == 1 and label not in _NOT_AN_ABNORMALITY for label, v in certain.items()):
        certain.setdefault(_NONE, 0)
    return certain


def _on_known(metric: Metric) -> Metric:
    return Metric(
        metric.name,
        metric.higher_is_better,
        metric.low,
        metric.high,
        metric.unit,
        lambda gold, answer: metric.statistics(known(gold), answer),
        metric.value,
    )


class Findings(Task):
    """List the findings."""

    name = "findings"
    templates = {
        "list": (
            "List the findings.",
            "Which findings are present?",
            "Name all findings of this radiograph.",
        )
    }
    metrics = (*(_on_known(metric) for metric in label_metrics(FINDINGS)), invalid_rate())

    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """See :meth:`Task.drafts`."""
        frame = (
            annotations.filter(pl.col("kind") == "label", pl.col("name").is_in(FINDINGS))
            .sort("image_id", "name", "origin", "source", "row")
            .group_by("image_id", maintain_order=True)
            .agg("name", pl.col("value").cast(pl.Int64), *provenance())
        )
        answers = []
        for names, values in frame.select("name", "value").iter_rows():
            first: dict[str, int] = {}
            for label, value in zip(names, values, strict=True):
                first.setdefault(label, value)
            answers.append(first)
        targets = [self._target(answer) for answer in answers]
        return frame.select(
            "image_id",
            pl.lit("list").alias("subtask"),
            pl.lit("").alias("subject"),
            pl.lit(None, dtype=pl.String).alias("fill"),
            pl.Series("target", targets, dtype=pl.String),
            pl.lit([], dtype=Boxes).alias("boxes"),
            json_series(answers),
            "sources",
            "quality",
        ).filter(pl.col("target").is_not_null())

    def parse(
        self,
        text: str,
        boxes: Sequence[Box],
        template: str,
    ) -> dict[str, int] | None:
        """Labels named in a list or in sentences; a clause with a negation names nothing.

        ``None`` where no label of the fixed set is named and ``No Finding`` is not said.
        """
        answer: dict[str, int] = {}
        read = False
        for clause in re.split(r"[,;\n]|\.\s|\band\b", strip_wrapping(text)):
            bare = clause.strip().lower().removesuffix(".")
            if bare in _LABELS:
                answer[_LABELS[bare]] = 1
                continue
            named = [label for low, label in _LABELS.items() if re.search(rf"\b{low}\b", bare)]
            read = read or bool(named)
            if not _NEGATION.search(bare):
                answer.update(dict.fromkeys(named, 1))
        return answer if answer or read else None

    def given(self, gold: Mapping[str, int]) -> dict[str, int]:
        """The labels a perfect answer names."""
        positive = {label: 1 for label, value in gold.items() if value == 1}
        return positive or {_NONE: 1}

    def candidates(self, golds: Sequence[Any]) -> Sequence[Any]:
        """All labels at least so frequent, for every frequency; and each label alone."""
        counts = Counter(label for gold in golds for label, value in gold.items() if value == 1)
        ranked = sorted(counts, key=lambda label: (-counts[label], label))
        sets = [ranked[:k] for k in range(1, len(ranked) + 1)] + [[label] for label in ranked]
        return [dict.fromkeys(labels, 1) for labels in sets]

    @staticmethod
    def _target(answer: Mapping[str, int]) -> str | None:
        positive = [label for label in FINDINGS if answer.get(label) == 1]
        if positive:
            return ", ".join(positive)
        # only uncertain labels: nothing can be said
        return _NONE if 0 in answer.values() else None
