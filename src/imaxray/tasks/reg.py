"""REG, referring expression generation: name what a box shows.

Gold answer: a list of acceptable phrases, the target first. Parsed answer: the text.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from imaxray.boxes import PLACEHOLDER, Box
from imaxray.metrics import (
    best_of,
    exact,
    invalid_rate,
    mean_metric,
    rouge_l,
    token_f1,
)
from imaxray.tasks._base import Task, json_series, provenance, strip_wrapping


class Reg(Task):
    """Describe the region in a box; every phrase of that very box is acceptable."""

    name = "reg"
    templates = {
        "phrase": (
            f"Describe the region {PLACEHOLDER}.",
            f"What is in this location: {PLACEHOLDER}?",
            f"What does {PLACEHOLDER} show?",
        )
    }
    metrics = (
        mean_metric("token F1", best_of(token_f1)),
        mean_metric("exact match", best_of(exact)),
        mean_metric("ROUGE-L", best_of(rouge_l)),
        invalid_rate(),
    )

    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """See :meth:`Task.drafts`. One entry a box; findings name it before anatomy does."""
        frame = (
            annotations.filter(
                pl.col("kind") == "region",
                pl.col("text").is_not_null(),
                pl.col("boxes").list.len() == 1,
            )
            .with_columns(pl.col("text").str.to_lowercase().alias("phrase"))
            .with_columns((pl.col("phrase") == pl.col("name").str.to_lowercase()).alias("anatomy"))
            .sort("image_id", "origin", "anatomy", "phrase", "source", "row")
            .group_by("image_id", "boxes", maintain_order=True)
            .agg(pl.col("phrase").unique(maintain_order=True), *provenance())
        )
        subjects = [
            ",".join(f"{value:.2f}" for value in boxes[0]) for boxes in frame["boxes"].to_list()
        ]
        return frame.select(
            "image_id",
            pl.lit("phrase").alias("subtask"),
            pl.Series("subject", subjects, dtype=pl.String),
            pl.lit(None, dtype=pl.String).alias("fill"),
            pl.col("phrase").list.first().alias("target"),
            "boxes",
            json_series(frame["phrase"].to_list()),
            "sources",
            "quality",
        )

    def parse(self, text: str, boxes: Sequence[Box], template: str) -> str | None:
        """The text, unwrapped; ``None`` if nothing is left."""
        return strip_wrapping(text) or None

    def given(self, gold: Sequence[str]) -> str:
        """The target phrase."""
        return gold[0]
