"""REG, referring expression generation: name what a box shows.

Gold answer: a list of acceptable phrases, the target first. Parsed answer: the text.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from imaxray.boxes import PLACEHOLDER, Box
from imaxray.metrics import (
    best_of,
    caption_metrics,
    corpus_bleu,
    exact,
    invalid_rate,
    mean_metric,
    rouge_l,
    token_f1,
)
from imaxray.tasks.base import Gold, Task, box_subject, json_series, one_each, strip_wrapping


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
        corpus_bleu(4, list, str),
        corpus_bleu(1, list, str),
        invalid_rate(),
    )
    optional = {"captions": caption_metrics(list, str)}

    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """See :meth:`Task.drafts`. One entry a box; findings name it before anatomy does."""
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

    def parse(self, text: str, boxes: Sequence[Box], template: str) -> str | None:
        """The text, unwrapped; ``None`` if nothing is left."""
        return strip_wrapping(text) or None

    def as_gold(self, parsed: str, template: str) -> Gold:
        """See :meth:`Task.as_gold`. Phrases are in lower case."""
        return Gold(parsed.lower(), [], [parsed.lower()])

    def given(self, gold: Sequence[str]) -> str:
        """The target phrase."""
        return gold[0]
