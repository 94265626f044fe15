"""REC, referring expression comprehension: locate a phrase.

Gold and parsed answer: a list of boxes ``[x1, y1, x2, y2]`` in pixels of the original image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from imaxray.boxes import PLACEHOLDER, Box
from imaxray.metrics import accuracy_at, invalid_rate, mean_iou
from imaxray.tasks._base import Task, json_series, provenance


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
        frame = (
            annotations.filter(
                pl.col("kind") == "region",
                pl.col("text").is_not_null(),
                pl.col("boxes").list.len() > 0,
            )
            .with_columns(pl.col("text").str.to_lowercase().alias("phrase"))
            .sort("image_id", "phrase", "origin", "source", "file", "row")
        )
        # the same phrase in two releases: the human one stands
        best = frame.unique(["image_id", "phrase"], keep="first", maintain_order=True)
        frame = (
            frame.join(best, on=["image_id", "phrase", "source"], how="semi", maintain_order="left")
            .explode("boxes")
            .unique(["image_id", "phrase", "boxes"], keep="first", maintain_order=True)
            .sort("image_id", "phrase", "boxes")
            .group_by("image_id", "phrase", maintain_order=True)
            .agg("boxes", *provenance())
        )
        boxes = frame["boxes"].to_list()
        return frame.select(
            "image_id",
            pl.lit("phrase").alias("subtask"),
            pl.col("phrase").alias("subject"),
            pl.col("phrase").alias("fill"),
            pl.Series("target", [" ".join([PLACEHOLDER] * len(b)) for b in boxes], dtype=pl.String),
            "boxes",
            json_series(boxes),
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

    def candidates(self, golds: Sequence[Any]) -> Sequence[Any]:
        """The box of median corners."""
        return ([np.median([gold[0] for gold in golds], axis=0).tolist()],)
