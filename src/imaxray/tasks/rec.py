"""REC, referring expression comprehension: locate a phrase.

Gold and parsed answer: a list of boxes ``[x1, y1, x2, y2]`` in pixels of the original image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy.optimize import linear_sum_assignment

from imaxray.boxes import PLACEHOLDER, Box, iou
from imaxray.metrics import accuracy_at, invalid_rate, mean_iou
from imaxray.schema import Boxes
from imaxray.tasks.base import Gold, Task, json_series, one_each, text_subject


class Rec(Task):
    """Locate a phrase: one box, or several where the phrase has several."""

    name = "rec"
    templates = {
        "phrase": (
            "Locate the {}.",
            "Where is the {}?",
            "Give the location of the {}.",
        )
    }
    metrics = (mean_iou(), accuracy_at(0.5), invalid_rate())

    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """See :meth:`Task.drafts`. Rows of one release with the same phrase are one entry."""
        facts = annotations.filter(
            pl.col("kind") == "region",
            pl.col("text").is_not_null(),
            pl.col("boxes").list.len() > 0,
        ).with_columns(pl.col("text").str.to_lowercase().alias("phrase"))
        keys = ["image_id", "phrase"]
        facts = facts.sort("origin", maintain_order=True)
        # the same phrase in two releases: the stronger one stands
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

    def parse(
        self,
        text: str,
        boxes: Sequence[Box],
        template: str,
    ) -> list[Box] | None:
        """The boxes that the model wrote; ``None`` if it wrote none."""
        return list(boxes) or None

    def as_gold(self, parsed: Sequence[Box], template: str) -> Gold:
        """See :meth:`Task.as_gold`. Boxes are sorted, each once, as in entries."""
        boxes = [list(box) for box in sorted(set(map(tuple, parsed)))]
        return Gold(" ".join([PLACEHOLDER] * len(boxes)), boxes, boxes)

    def same(self, first: Sequence[Box], second: Sequence[Box]) -> bool:
        """As many boxes, paired so that each pair has an IoU of at least 0.5."""
        if len(first) != len(second):
            return False
        overlap = np.array([[iou(a, b) for b in second] for a in first])
        # most pairs of enough overlap, then most overlap
        rows, columns = linear_sum_assignment(
            overlap + len(first) * (overlap >= 0.5), maximize=True
        )
        return bool((overlap[rows, columns] >= 0.5).all())

    def candidates(self, golds: Sequence[Any]) -> Sequence[Any]:
        """The box of median corners."""
        return ([np.median([gold[0] for gold in golds], axis=0).tolist()],)


def _each_once(boxes: pl.Series) -> pl.Series:
    """Boxes of each phrase sorted, without repetitions."""
    several = boxes.list.len() > 1
    if not several.any():
        return boxes
    settled = [
        sorted(map(list, set(map(tuple, row)))) if more else row
        for row, more in zip(boxes.to_list(), several, strict=True)
    ]
    return pl.Series("boxes", settled, dtype=Boxes)
