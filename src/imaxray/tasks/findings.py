"""Findings asks which of a fixed set of labels are present.

The gold answer is ``{label: 1 | 0 | -1}`` over the stated labels; an unknown label has no key and
is never treated as negative. The parsed answer is ``{label: 1 | -1}`` over the labels that are
named as present or as uncertain. The target lists the positive labels, or ``No Finding`` if labels
are denied and none is positive or uncertain. What happens with uncertain labels is a choice of the
build (:data:`Uncertain`); by default they are neither listed nor scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import polars as pl

from imaxray.boxes import Box
from imaxray.metrics import Metric, invalid_rate, label_metrics
from imaxray.schema import FINDINGS, Boxes
from imaxray.tasks._shared.answer_content import AnswerContent
from imaxray.tasks._shared.answers import Gold, strip_wrapping
from imaxray.tasks._shared.base import RuledTask
from imaxray.tasks._shared.drafts import NO_SUBJECT, one_each
from imaxray.tasks._shared.questions import Question
from imaxray.tasks._shared.reading import Reading
from imaxray.tasks._shared.reading.labels import exact_labels, read_labels
from imaxray.tasks._shared.reading.objects import parse_object
from imaxray.tasks._shared.statements import Statement
from imaxray.tasks._shared.tolerances import DEFAULT, HAIR, Tolerances, f1
from imaxray.tasks._shared.truth import Truth
from imaxray.tasks._shared.uncertain import Uncertain
from imaxray.tasks._shared.wording import holds

_NONE: Final = "No Finding"
_PLACE: Final = {label: place for place, label in enumerate(FINDINGS)}
_USUAL: Final = 0.5  # minimum share of entries that state a label, so that silence denies it
_NOT_AN_ABNORMALITY: Final = (_NONE, "Support Devices")
_POSSIBLE: Final = "Possible "  # before an uncertain label that a target names


def known(gold: Mapping[str, int]) -> dict[str, int]:
    """Return the labels that are scored, which are stated with certainty.

    Releases leave ``No Finding`` blank if there is a finding. It is then set to 0; it stays unknown
    if no abnormality is stated as positive, and it is unknown if an abnormality is uncertain.
    """
    certain = {label: value for label, value in gold.items() if value in (0, 1)}
    if certain.get(_NONE) == 1 and _has_abnormality(gold, -1):
        del certain[_NONE]
    if _has_abnormality(certain, 1):
        certain.setdefault(_NONE, 0)
    return certain


def _has_abnormality(labels: Mapping[str, int], value: int) -> bool:
    return any(v == value and label not in _NOT_AN_ABNORMALITY for label, v in labels.items())


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


class Findings(RuledTask):
    """The task to list the findings."""

    name = "findings"
    templates = {
        "list": (
            "List the findings.",
            "Which findings are present?",
            "Name all findings of this radiograph.",
        )
    }
    metrics = (*(_on_known(metric) for metric in label_metrics(FINDINGS)), invalid_rate())

    def __init__(self, uncertain: Uncertain = "ignore") -> None:
        """Make the task.

        Args:
            uncertain: What the entries make of uncertain labels.
        """
        self.uncertain = uncertain

    def under(self, uncertain: Uncertain) -> Findings:
        """Return the task with another policy for uncertain labels, see :meth:`Task.under`."""
        return self if uncertain == self.uncertain else Findings(uncertain)

    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """Make one draft per image, see :meth:`Task.drafts`."""
        facts = annotations.filter(pl.col("kind") == "label", pl.col("name").is_in(FINDINGS)).sort(
            "origin", maintain_order=True
        )
        # the strongest statement of a label counts; rows are sorted for the keys of canonical JSON
        name = pl.col("name").cast(pl.String)
        facts = facts.with_columns(
            pl.struct("image_id", "name").is_first_distinct().alias("counts"),
            ((pl.col("value") == -1) & ~name.is_in(_NOT_AN_ABNORMALITY)).alias("doubtful"),
            self._decided(name, pl.col("value").cast(pl.Int64)).alias("value"),
        ).filter(pl.col("value").is_not_null())
        facts = facts.with_columns(
            pl.concat_str(pl.lit('"'), name, pl.lit('":'), "value").alias("pair"),
            name.replace_strict(_PLACE, return_dtype=pl.UInt8).alias("place"),
            (pl.col("counts") & (pl.col("value") == -1)).alias("open"),
        ).sort(name, maintain_order=True)
        # an image with an uncertain abnormality is not known to be normal, whatever a release says
        if self.uncertain != "zeros":
            doubtful = (pl.col("doubtful") & pl.col("counts")).any().over("image_id")
            facts = facts.filter(~((name == _NONE) & (pl.col("value") == 1) & doubtful))
        counts, positive, denied = pl.col("counts"), pl.col("value") == 1, pl.col("value") == 0
        possible = pl.col("open") & (name != _NONE) & pl.lit(self.uncertain == "ask")
        wording = pl.when(possible).then(pl.lit(_POSSIBLE) + name).otherwise(name)
        named = (counts & positive) | possible
        # one key, because older versions of Polars cannot sort empty groups by several
        order = pl.struct(possible.alias("possible"), "place").filter(named)
        frame = one_each(
            facts,
            ["image_id"],
            [
                pl.col("pair"),
                pl.when(positive | possible).then(wording).alias("labels"),
                (denied & (name != _NONE)).alias("negative"),
            ],
            [
                pl.col("pair").filter(counts).str.join(","),
                wording.filter(named).sort_by(order).str.join(", ").alias("labels"),
                ((denied & counts).any() & ~(denied & counts & (name == _NONE)).any()
                 & ~pl.col("open").any())
                .alias("negative"),
            ],
        )  # fmt: skip
        labels = pl.col("labels").replace("", None)
        # no target if no label is named and any is uncertain, or if a finding has no label here
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

    def _decided(self, name: pl.Expr, value: pl.Expr) -> pl.Expr:
        """Return the value of each label under the policy, null for a label that says nothing.

        An uncertain ``No Finding`` follows from the other labels once these are decided.
        """
        if self.uncertain not in ("ones", "zeros"):
            return value
        settled = pl.when(name != _NONE).then(pl.lit(int(self.uncertain == "ones"), pl.Int64))
        return pl.when(value == -1).then(settled).otherwise(value)

    def read(
        self, text: str, boxes: Sequence[Box], template: str, reading: Reading
    ) -> dict[str, int] | None:
        """Read the labels that an answer states, as names, lists, JSON or sentences.

        Returns:
            Label → 1, or -1 if the answer calls it uncertain; ``None`` if the answer states nothing
            about any label, does not call the image normal, or contradicts itself. It is empty if
            the answer only denies labels.
        """
        bare = strip_wrapping(text)
        exact = exact_labels(bare)
        if exact is not None:
            return exact
        statements = read_labels(bare if parse_object(text) is None else text)
        found = statements.result()
        if found is None or not all(reading.has(name) for name in statements.rules):
            return None
        reading.note(*statements.rules)
        return found

    def as_gold(self, parsed: Mapping[str, int], template: str) -> Gold | None:
        """State the named labels, see :meth:`Task.as_gold`; all other labels stay unknown.

        An answer that names an uncertain abnormality does not state ``No Finding``.
        """
        named = {label: 1 for label in FINDINGS if parsed.get(label) == 1}
        if _has_abnormality(parsed, -1):
            named.pop(_NONE, None)
        return Gold(", ".join(named), [], named) if named else None

    def given(self, gold: Mapping[str, int]) -> dict[str, int]:
        """Return the labels that a perfect answer names.

        Uncertain labels are named, as uncertain, only if no label is positive; an image with an
        uncertain label is never answered by ``No Finding``.
        """
        positive = {label: 1 for label, value in gold.items() if value == 1}
        if _has_abnormality(gold, -1):
            positive.pop(_NONE, None)
        unsure = {label: -1 for label, value in gold.items() if value == -1 and label != _NONE}
        return positive or unsure or {_NONE: 1}

    def candidates(self, golds: Sequence[Any]) -> Sequence[Any]:
        """Return the k most frequent labels, for every k, and each label alone."""
        counts = Counter(label for gold in golds for label, value in gold.items() if value == 1)
        ranked = sorted(counts, key=lambda label: (-counts[label], label))
        sets = [ranked[:k] for k in range(1, len(ranked) + 1)] + [[label] for label in ranked]
        return [dict.fromkeys(labels, 1) for labels in sets]

    def stratum(self) -> pl.Expr:
        """Use the number of findings, up to four, see :meth:`TaskKnowledge.stratum`."""
        # the target lists the positive labels, then the possible ones, or says that there are none
        named = pl.col("target").str.count_matches(", ", literal=True).cast(pl.Int64) + 1
        possible = pl.col("target").str.count_matches(_POSSIBLE, literal=True).cast(pl.Int64)
        count = pl.when(pl.col("target") == _NONE).then(0).otherwise(named - possible)
        return pl.concat_str(count.clip(upper_bound=4).cast(pl.String), pl.lit(" findings"))

    def secrets(self, prompt: str, target: str, gold: Mapping[str, int] | None) -> list[str]:
        """Return the target and its labels, or nothing if the prompt offers other labels too."""
        if gold is None:
            return [target]
        positive = {label for label, value in gold.items() if value == 1}
        offered = any(holds(prompt, label) for label in FINDINGS if label not in positive)
        return [] if offered else [target, *sorted(positive)]

    def true_answer(self, question: Question, truth: Truth) -> dict[str, int]:
        """Return the labels of the drawn findings, see :meth:`TaskKnowledge.true_answer`."""
        labels = dict.fromkeys(sorted(truth.labels), 1)
        return labels if truth.labels - {"Support Devices"} else {**labels, _NONE: 1}

    def content(self, gold: Mapping[str, int]) -> AnswerContent:
        """Return the labels of the answer, see :meth:`TaskKnowledge.content`."""
        return AnswerContent(labels=gold)

    def decides(self, gold: Mapping[str, int]) -> bool:
        """Return whether the gold answer states any label with certainty."""
        return bool(known(gold))

    def is_correct(
        self,
        answer: Mapping[str, int],
        gold: Mapping[str, int],
        tolerances: Tolerances = DEFAULT,
    ) -> bool:
        """Return whether the answer names the positive labels of the gold answer.

        The F1 must be at least ``tolerances.findings``; 1 means that exactly the positive labels
        are named. Only labels that the gold answer states with certainty are judged, and none that
        the answer itself leaves open (-1).
        """
        certain = {label: v for label, v in known(gold).items() if answer.get(label) != -1}
        wanted = {label for label, value in certain.items() if value == 1}
        given = self.given(answer)
        judged = {label for label, value in given.items() if value == 1 and label in certain}
        return f1(frozenset(wanted), frozenset(judged)) >= tolerances.findings - HAIR

    def statements(
        self,
        question: Question,
        gold: Mapping[str, int],
        *,
        size: tuple[int, int] | None,
        usual: Collection[str],
    ) -> Iterator[Statement]:
        """Yield each certain label and a denial of each usual label that is not named."""
        doubt = _has_abnormality(gold, -1)
        for label in FINDINGS:
            value = gold.get(label, 0 if label in usual else None)
            if label == _NONE and value == 1 and doubt:
                continue
            if value in (0, 1):
                yield Statement("label", label, value)

    def usual_labels(self, golds: Sequence[Any]) -> frozenset[str]:
        """Return the labels that at least half of the answers state with certainty.

        A model that was trained on these answers learned to name such a label if it is present. If
        the model does not name the label, it therefore denies it.
        """
        counts = Counter(
            label
            for gold in golds
            for label, value in gold.items()
            if value in (0, 1) and label != _NONE
        )
        return frozenset(label for label, n in counts.items() if n >= _USUAL * len(golds))

    def without(self, gold: Mapping[str, int], labels: Collection[str]) -> Gold | None:
        """Return the answer without some positive labels, see :meth:`TaskKnowledge.without`."""
        if any(gold.get(label) != 1 for label in labels):
            return None
        left = {label: value for label, value in gold.items() if label not in labels}
        positive = [label for label in FINDINGS if left.get(label) == 1]
        return Gold(", ".join(positive), [], left) if positive else None

    def facts(self, question: Question, gold: Mapping[str, int]) -> list[dict[str, Any]]:
        """Return one annotation per label, see :meth:`TaskKnowledge.facts`."""
        return [{"kind": "label", "name": n, "value": float(v)} for n, v in gold.items()]
