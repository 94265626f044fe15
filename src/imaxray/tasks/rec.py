"""REC, referring expression comprehension, asks for the boxes of a phrase.

The gold answer and the parsed answer are each a list of boxes
``[x1, y1, x2, y2]`` in pixels of the original image.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from imaxray.boxes import PLACEHOLDER, Box, box_of, iou
from imaxray.metrics import accuracy_at, average_precision, invalid_rate, mean_iou, normalise
from imaxray.metrics.grounding import matched_ious
from imaxray.schema import Boxes
from imaxray.tasks._shared.answer_content import AnswerContent
from imaxray.tasks._shared.answers import Gold
from imaxray.tasks._shared.base import Task
from imaxray.tasks._shared.drafts import json_series, one_each, text_subject
from imaxray.tasks._shared.questions import Question
from imaxray.tasks._shared.statements import Statement, region_statements
from imaxray.tasks._shared.tolerances import DEFAULT, HAIR, Tolerances
from imaxray.tasks._shared.truth import Truth
from imaxray.tasks._shared.wording import category


class Rec(Task):
    """The task to locate a phrase by one box, or by several if the phrase has several."""

    name = "rec"
    strata_are_answers = False
    reads_boxes = True
    templates = {
        "phrase": (
            "Locate the {}.",
            "Where is the {}?",
            "Give the location of the {}.",
        )
    }
    metrics = (mean_iou(), accuracy_at(0.5), average_precision(0.5), invalid_rate())

    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """Make one draft per phrase of an image, with all its boxes from one release."""
        facts = annotations.filter(
            pl.col("kind") == "region",
            pl.col("text").is_not_null(),
            pl.col("boxes").list.len() > 0,
        ).with_columns(pl.col("text").str.to_lowercase().alias("phrase"))
        keys = ["image_id", "phrase"]
        facts = facts.sort("origin", maintain_order=True)
        # if two releases have the same phrase, the stronger annotation is used
        facts = facts.filter(pl.col("source") == pl.col("source").first().over(keys))
        boxes = pl.col("boxes")
        frame = one_each(facts, keys, [boxes], [boxes.list.explode().alias("boxes")])
        frame = frame.with_columns(_each_once(frame["boxes"]))
        return frame.select(
            "image_id",
            pl.lit("phrase").alias("subtask"),
            text_subject(frame["phrase"]),
            pl.col("phrase").alias("fill"),
            pl.lit(PLACEHOLDER)
            .repeat_by(pl.col("boxes").list.len())
            .list.join(" ")
            .alias("target"),
            "boxes",
            json_series(frame["boxes"].to_list()),
            "sources",
            "quality",
        )

    def parse(self, text: str, boxes: Sequence[Box], template: str) -> list[Box] | None:
        """Return the boxes that the model wrote; ``None`` if it wrote none."""
        return list(boxes) or None

    def as_gold(self, parsed: Sequence[Box], template: str) -> Gold:
        """State the distinct boxes, sorted as in entries, see :meth:`Task.as_gold`."""
        boxes = [list(box) for box in sorted(set(map(tuple, parsed)))]
        return Gold(" ".join([PLACEHOLDER] * len(boxes)), boxes, boxes)

    def same(self, first: Sequence[Box], second: Sequence[Box]) -> bool:
        """Return whether the boxes can all be paired with an IoU of at least 0.5 per pair."""
        if len(first) != len(second):
            return False
        from scipy.optimize import linear_sum_assignment  # late: the viewer starts without scipy

        overlap = np.array([[iou(a, b) for b in second] for a in first])
        # maximise the number of pairs that overlap enough, then the total overlap
        rows, columns = linear_sum_assignment(
            overlap + len(first) * (overlap >= 0.5), maximize=True
        )
        return bool((overlap[rows, columns] >= 0.5).all())

    def candidates(self, golds: Sequence[Any]) -> Sequence[Any]:
        """Return the box of the median corners."""
        return ([np.median([gold[0] for gold in golds], axis=0).tolist()],)

    def stratum(self) -> pl.Expr:
        """Use the quality, which says where the phrase comes from, as stratum."""
        return pl.col("quality")

    def secret_boxes(self, gold: Sequence[list[float]] | None) -> list[list[float]]:
        """Return the gold boxes, see :meth:`TaskKnowledge.secret_boxes`."""
        return [list(box) for box in gold or ()]

    def in_shares(self, gold: Sequence[Box], size: tuple[int, int]) -> list[list[float]]:
        """Divide the corners by width and height, see :meth:`TaskKnowledge.in_shares`."""
        return _scaled(gold, 1 / size[0], 1 / size[1])

    def in_pixels(self, answer: Sequence[Box], size: tuple[int, int]) -> list[list[float]]:
        """Multiply the corners by width and height, see :meth:`TaskKnowledge.in_pixels`."""
        return _scaled(answer, *size)

    def true_answer(self, question: Question, truth: Truth) -> list[list[float]] | None:
        """Return the boxes of the drawn findings that the prompt names; ``None`` without any."""
        prompt = question.prompt.lower()
        boxes = [
            finding.box
            for finding in truth.findings
            if finding.box and any(wording in prompt for wording in finding.wordings)
        ]
        return sorted(boxes) or None

    def content(self, gold: Sequence[Box]) -> AnswerContent:
        """Return the box if there is exactly one, see :meth:`TaskKnowledge.content`."""
        return AnswerContent(boxes=(box_of(gold[0]),)) if len(gold) == 1 else AnswerContent()

    def same_question(self, first: Question, second: Question) -> float:
        """Return 1 if the normalised phrases are the same, else 0."""
        phrases = [normalise(self.asked_text(question)) for question in (first, second)]
        return float(phrases[0] == phrases[1])

    def is_correct(
        self, answer: Sequence[Box], gold: Sequence[Box], tolerances: Tolerances = DEFAULT
    ) -> bool:
        """Return whether boxes matched one to one have a mean IoU of at least ``tolerances.iou``.

        Each surplus or missing box counts with an IoU of 0.
        """
        mean = sum(matched_ious(gold, answer)) / max(len(gold), len(answer))
        return bool(mean >= tolerances.iou - HAIR)

    def statements(
        self,
        question: Question,
        gold: list[list[float]],
        *,
        size: tuple[int, int] | None,
        usual: Collection[str],
    ) -> Iterator[Statement]:
        """Yield the region, see :meth:`TaskKnowledge.statements`."""
        yield from region_statements([self.asked_text(question)], gold, size)

    def facts(self, question: Question, gold: list[list[float]]) -> list[dict[str, Any]]:
        """Return one region, see :meth:`TaskKnowledge.facts`."""
        phrase = self.asked_text(question)
        return [{"kind": "region", "name": category(phrase), "text": phrase, "boxes": gold}]


def _scaled(boxes: Sequence[Sequence[float]], x: float, y: float) -> list[list[float]]:
    return [[x1 * x, y1 * y, x2 * x, y2 * y] for x1, y1, x2, y2 in boxes]


def _each_once(boxes: pl.Series) -> pl.Series:
    """Return the distinct boxes of each phrase, sorted."""
    several = boxes.list.len() > 1
    if not several.any():
        return boxes
    settled = [
        sorted(map(list, set(map(tuple, row)))) if more else row
        for row, more in zip(boxes.to_list(), several, strict=True)
    ]
    return pl.Series("boxes", settled, dtype=Boxes)
