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
from imaxray.tasks.base import NO_SUBJECT, Gold, Task, one_each, strip_wrapping

_NONE: Final = "No Finding"
_PLACE: Final = {label: place for place, label in enumerate(FINDINGS)}
_LABELS: Final = {label.lower(): label for label in FINDINGS}
_SENTENCE: Final = re.compile(r"[;\n]|\.\s|\b(?:but|however)\b")
_CLAUSE: Final = re.compile(r",|\band\b")
_NO_FINDING: Final = re.compile(r"(?:there (?:is|are) )?no findings?")
_BEFORE: Final = re.compile(r"\b(?:no|without|negative for|absence of|free of)\b")
_ANYWHERE: Final = re.compile(r"\b(?:not|nor|no longer|absent)\b")
_OR: Final = re.compile(r"\b(?:or|nor)\b")
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


def _places(label: str, clause: str) -> list[int]:
    return [found.start() for found in re.finditer(rf"\b{label}\b", clause)]


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
        facts = annotations.filter(pl.col("kind") == "label", pl.col("name").is_in(FINDINGS)).sort(
            "origin", maintain_order=True
        )
        # the strongest statement of a label counts; keys of canonical JSON are sorted
        name, value = pl.col("name").cast(pl.String), pl.col("value").cast(pl.Int64)
        facts = facts.with_columns(
            pl.struct("image_id", "name").is_first_distinct().alias("counts"),
            pl.concat_str(pl.lit('"'), name, pl.lit('":'), value).alias("pair"),
            name.replace_strict(_PLACE, return_dtype=pl.UInt8).alias("place"),
        ).sort(name, maintain_order=True)
        counts, positive, denied = pl.col("counts"), pl.col("value") == 1, pl.col("value") == 0
        named = counts & positive
        frame = one_each(
            facts,
            ["image_id"],
            [
                pl.col("pair"),
                pl.when(positive).then(name).alias("labels"),
                (denied & (name != _NONE)).alias("negative"),
            ],
            [
                pl.col("pair").filter(counts).str.join(","),
                name.filter(named).sort_by(pl.col("place").filter(named)).str.join(", ")
                .alias("labels"),
                ((denied & counts).any() & ~(denied & counts & (name == _NONE)).any())
                .alias("negative"),
            ],
        )  # fmt: skip
        labels = pl.col("labels").replace("", None)
        # only uncertain labels, or something found that has no label here: nothing can be said
        nothing = pl.when("negative").then(pl.lit(_NONE))
        return frame.select(
            "image_id",
            pl.lit("list").alias("subtask"),
            NO_SUBJECT,
            pl.lit(None, dtype=pl.String).alias("fill"),
            pl.coalesce(labels, nothing).alias("target"),
            pl.lit([], dtype=Boxes).alias("boxes"),
            pl.concat_str(pl.lit("{"), "pair", pl.lit("}")).alias("answer"),
            "sources",
            "quality",
        ).filter(pl.col("target").is_not_null())

    def parse(
        self,
        text: str,
        boxes: Sequence[Box],
        template: str,
    ) -> dict[str, int] | None:
        """Labels named in a list or in sentences, less the negated ones.

        ``no``, ``without`` and the like negate what follows them in their clause, ``not`` and
        ``absent`` the whole clause. Commas and ``and`` part clauses; a negation reaches over them
        to an ``or`` of the same sentence ("no edema, mass, or pneumonia"). ``None`` where no label
        of the fixed set is named and ``No Finding`` is not said.
        """
        answer: dict[str, int] = {}
        read = False
        for sentence in _SENTENCE.split(strip_wrapping(text).lower()):
            clauses = [clause.strip().removesuffix(".") for clause in _CLAUSE.split(sentence)]
            last_or = max((i for i, clause in enumerate(clauses) if _OR.search(clause)), default=-1)
            negated = False
            for number, clause in enumerate(clauses):
                if _NO_FINDING.fullmatch(clause):
                    answer[_NONE] = 1
                    continue
                before = _BEFORE.search(clause)
                all_negated = _ANYWHERE.search(clause) or (negated and number <= last_or)
                named = [(low, at) for low in _LABELS for at in _places(low, clause)]
                read = read or bool(named)
                for low, at in named:
                    if not all_negated and (before is None or at < before.start()):
                        answer[_LABELS[low]] = 1
                negated = before is not None or (negated and number <= last_or)
        return answer if answer or read else None

    def as_gold(self, parsed: Mapping[str, int], template: str) -> Gold | None:
        """See :meth:`Task.as_gold`. Only named labels are stated; all others stay unknown."""
        named = {label: 1 for label in FINDINGS if parsed.get(label) == 1}
        return Gold(", ".join(named), [], named) if named else None

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
