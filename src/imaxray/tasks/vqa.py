"""VQA: answer a question about the image.

Gold answer: ``{"closed": bool, "answers": [str]}``, an empty list meaning none. Parsed answer: the
normalised text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from imaxray.boxes import Box
from imaxray.metrics import (
    Metric,
    invalid_rate,
    mean_metric,
    normalise,
    ratio,
    token_f1,
    token_recall,
)
from imaxray.schema import Boxes
from imaxray.tasks.base import (
    Gold,
    Task,
    json_of,
    one_each,
    strip_wrapping,
    subtask_of,
    text_subject,
)

_NONE: Final = "none"
_YES_NO: Final = re.compile(r"\b(yes|no)\b")


def gold_text(gold: Mapping[str, Any]) -> str:
    """The gold answers as one text."""
    return ", ".join(gold["answers"]) or _NONE


def closed_correct(gold: Mapping[str, Any], answer: str) -> float:
    """Yes/no by the first such *word* ("no" in "normal" is none); else normalised equality.

    Several gold answers are a set: their order does not matter.
    """
    wanted = normalise(gold_text(gold))
    if wanted in ("yes", "no"):
        found = _YES_NO.search(answer)
        return float(found is not None and found.group(1) == wanted)
    given = sorted(normalise(part) for part in answer.split(","))
    return float(given == sorted(normalise(part) for part in gold_text(gold).split(",")))


def _score(gold: Mapping[str, Any], answer: str | None) -> float:
    if answer is None:
        return 0.0
    return closed_correct(gold, answer) if gold["closed"] else token_f1(gold_text(gold), answer)


def _where(name: str, closed: bool, score: Any) -> Metric:
    """Mean of ``score`` over the closed or over the open questions only."""

    def statistics(gold: Mapping[str, Any], answer: str | None) -> tuple[float, float]:
        if gold["closed"] is not closed:
            return (0.0, 0.0)
        return (0.0 if answer is None else float(score(gold, answer)), 1.0)

    return Metric(name, True, 0.0, 1.0, "", statistics, ratio)


class Vqa(Task):
    """Answer a question."""

    name = "vqa"
    templates = {"closed": ("{}", "{} Answer briefly."), "open": ("{}", "{} Answer briefly.")}
    metrics = (
        mean_metric("score", _score),  # closed: correct; open: token F1
        _where("closed accuracy", True, closed_correct),
        _where("open F1", False, lambda gold, answer: token_f1(gold_text(gold), answer)),
        _where("open recall", False, lambda gold, answer: token_recall(gold_text(gold), answer)),
        invalid_rate(),
    )

    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """See :meth:`Task.drafts`. A question asked twice about an image is one entry."""
        facts = annotations.filter(pl.col("kind") == "qa", pl.col("text").is_not_null()).sort(
            "origin", maintain_order=True
        )
        given, value = pl.col("answers"), pl.col("value")
        frame = one_each(
            facts, ["image_id", "text"], [given, value], [given.first(), value.first()]
        )
        frame = frame.with_columns(
            pl.col("answers").fill_null([]),
            (pl.col("value") == 1.0).fill_null(False).alias("closed"),
        )
        text = pl.col("answers").list.join(", ")
        return frame.select(
            "image_id",
            pl.when("closed").then(pl.lit("closed")).otherwise(pl.lit("open")).alias("subtask"),
            text_subject(frame["text"]),
            pl.col("text").alias("fill"),
            pl.when(text == "").then(pl.lit(_NONE)).otherwise(text).alias("target"),
            pl.lit([], dtype=Boxes).alias("boxes"),
            json_of("answers", "closed"),
            "sources",
            "quality",
        )  # fmt: skip

    def parse(self, text: str, boxes: Sequence[Box], template: str) -> str | None:
        """The text in lower case, unwrapped; ``None`` if nothing is left."""
        return strip_wrapping(text).lower() or None

    def as_gold(self, parsed: str, template: str) -> Gold:
        """See :meth:`Task.as_gold`.

        A closed answer that begins with yes or no is that word; commas part several answers.
        """
        closed = subtask_of(template) == "closed"
        verdict = _YES_NO.match(parsed) if closed else None
        text = verdict.group() if verdict else parsed
        parts = [part.strip() for part in text.split(",")]
        answers = [part for part in parts if part and part != _NONE]
        return Gold(", ".join(answers) or _NONE, [], {"answers": answers, "closed": closed})

    def same(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
        """The same set of normalised answers."""
        return {normalise(a) for a in first["answers"]} == {normalise(a) for a in second["answers"]}

    def given(self, gold: Mapping[str, Any]) -> str:
        """The gold answers as one text."""
        return gold_text(gold)
