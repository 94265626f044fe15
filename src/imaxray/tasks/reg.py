"""REG, referring expression generation, asks for the name of what a box shows.

The gold answer is a list of acceptable phrases, the target first. The parsed answer is the text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any, Final

import polars as pl

from imaxray.boxes import PLACEHOLDER, Box, box_of, iou
from imaxray.metrics import (
    best_of,
    caption_metrics,
    corpus_bleu,
    exact,
    invalid_rate,
    mean_metric,
    normalise,
    rouge_l,
    token_f1,
)
from imaxray.tasks._shared.answer_content import AnswerContent
from imaxray.tasks._shared.answers import Gold, strip_wrapping
from imaxray.tasks._shared.base import RuledTask
from imaxray.tasks._shared.drafts import box_subject, json_series, one_each
from imaxray.tasks._shared.questions import Question
from imaxray.tasks._shared.reading import Reading
from imaxray.tasks._shared.reading.objects import parse_object, text_of
from imaxray.tasks._shared.reading.phrases import joined_lines, phrase_of, without_boxes
from imaxray.tasks._shared.statements import Statement, region_statements
from imaxray.tasks._shared.tolerances import DEFAULT, HAIR, Tolerances
from imaxray.tasks._shared.wording import category, named, sides

_SAME_BOX: Final = 0.5  # IoU


class Reg(RuledTask):
    """The task to describe the region in a box; every phrase of exactly this box is acceptable."""

    name = "reg"
    strata_are_answers = False
    reads_boxes = True
    templates = {
        "phrase": (
            f"Describe the region {PLACEHOLDER}.",
            f"What is in this location: {PLACEHOLDER}?",
            f"What does {PLACEHOLDER} show?",
        )
    }
    metrics = (
        mean_metric(
            "token F1", best_of(token_f1), squad=best_of(partial(token_f1, normalisation="squad"))
        ),
        mean_metric(
            "exact match", best_of(exact), squad=best_of(partial(exact, normalisation="squad"))
        ),
        mean_metric("ROUGE-L", best_of(rouge_l)),
        corpus_bleu(4, list, str),
        corpus_bleu(1, list, str),
        invalid_rate(),
    )
    optional = {"captions": caption_metrics(list, str)}

    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """Make one draft per box; a phrase of a finding is preferred to a name of anatomy."""
        facts = annotations.filter(
            pl.col("kind") == "region",
            pl.col("text").is_not_null(),
            pl.col("boxes").list.len() == 1,
        ).with_columns(pl.col("text").str.to_lowercase().alias("phrase"))
        anatomy = pl.col("phrase") == pl.col("name").cast(pl.String).str.to_lowercase()
        corner = pl.col("boxes").list.first().list
        corners = [f"_{k}" for k in range(4)]
        facts = facts.with_columns(
            anatomy.alias("anatomy"), *(corner.get(k).alias(c) for k, c in enumerate(corners))
        )
        phrase, boxes = pl.col("phrase"), pl.col("boxes")
        order = ["origin", "anatomy", "phrase"]
        frame = one_each(
            facts,
            ["image_id", *corners],
            [pl.concat_list(phrase).alias("phrase"), boxes],
            [phrase.sort_by(order).unique(maintain_order=True), boxes.first()],
        )
        return frame.select(
            "image_id",
            pl.lit("phrase").alias("subtask"),
            box_subject(frame["boxes"]),
            pl.lit(None, dtype=pl.String).alias("fill"),
            pl.col("phrase").list.first().alias("target"),
            "boxes",
            json_series(frame["phrase"].to_list()),
            "sources",
            "quality",
        )

    def read(self, text: str, boxes: Sequence[Box], template: str, reading: Reading) -> str | None:
        """Read the phrase, without boxes and words around it; ``None`` if nothing is left."""
        found = parse_object(reading.source or text)
        stated = reading.use("json", text_of, found) if found is not None else None
        bare = strip_wrapping(stated or text)
        if boxes:
            bare = without_boxes(bare)
        bare = reading.change("phrases", phrase_of, joined_lines(bare))
        return strip_wrapping(bare) or None

    def as_gold(self, parsed: str, template: str) -> Gold:
        """State the phrase in lower case, see :meth:`Task.as_gold`."""
        return Gold(parsed.lower(), [], [parsed.lower()])

    def given(self, gold: Sequence[str]) -> str:
        """Return the target phrase."""
        return gold[0]

    def stratum(self) -> pl.Expr:
        """Use the quality, which says where the phrase comes from, as stratum."""
        return pl.col("quality")

    def secrets(self, prompt: str, target: str, gold: Any | None) -> list[str]:
        """Return nothing, because the prompts of this task contain no words of an answer."""
        return []

    def content(self, gold: Sequence[str]) -> AnswerContent:
        """Return the phrases, see :meth:`TaskKnowledge.content`."""
        return AnswerContent(phrases=tuple(gold))

    def same_question(self, first: Question, second: Question) -> float:
        """Return the IoU of the boxes of two prompts if it is at least 0.5, else 0."""
        if not first.boxes or not second.boxes:
            return 0.0
        overlap = iou(box_of(first.boxes[0]), box_of(second.boxes[0]))
        return overlap if overlap >= _SAME_BOX else 0.0

    def is_correct(
        self, answer: Sequence[str], gold: Sequence[str], tolerances: Tolerances = DEFAULT
    ) -> bool:
        """Return whether the answer agrees with one of the gold phrases.

        It agrees if both are equal when normalised, or if they name the same sides and the same
        labels and have a token F1 of at least ``tolerances.phrase``.
        """
        given = self.given(answer)
        return any(_agree(phrase, given, tolerances.phrase) for phrase in gold)

    def statements(
        self,
        question: Question,
        gold: Sequence[str],
        *,
        size: tuple[int, int] | None,
        usual: Collection[str],
    ) -> Iterator[Statement]:
        """Yield a region for each phrase, see :meth:`TaskKnowledge.statements`."""
        yield from region_statements(gold, question.boxes, size)

    def facts(self, question: Question, gold: Sequence[str]) -> list[dict[str, Any]]:
        """Return a region for each phrase, see :meth:`TaskKnowledge.facts`."""
        return [
            {"kind": "region", "name": category(p), "text": p, "boxes": question.boxes}
            for p in gold
        ]


def _agree(gold: str, given: str, least: float) -> bool:
    if normalise(gold) == normalise(given):
        return True
    same = sides(gold) == sides(given) and named(gold) == named(given)
    return same and token_f1(gold, given) >= least - HAIR
