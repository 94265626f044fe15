"""Grading: the severity of pulmonary edema.

Gold and parsed answer: an int 0-3. The target is the grade's name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import polars as pl

from imaxray.boxes import Box
from imaxray.metrics import grade_metrics, invalid_rate
from imaxray.schema import EDEMA_GRADES, Boxes
from imaxray.tasks.base import NO_SUBJECT, Gold, Task, json_series, one_each, strip_wrapping

_GRADE: Final = re.compile(r"^grade\s*:?\s*")


class Grading(Task):
    """Grade pulmonary edema."""

    name = "grading"
    templates = {
        "edema": (
            "Grade the pulmonary edema.",
            "How severe is the pulmonary edema?",
            "What is the grade of pulmonary edema?",
        )
    }
    metrics = (*grade_metrics(len(EDEMA_GRADES)), invalid_rate())

    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """See :meth:`Task.drafts`."""
        facts = annotations.filter(pl.col("kind") == "grade", pl.col("name") == "edema").sort(
            "origin", maintain_order=True
        )
        value = pl.col("value").cast(pl.Int64)
        frame = one_each(facts, ["image_id"], [value], [value.first()])
        names = [EDEMA_GRADES[grade] for grade in frame["value"]]
        return frame.select(
            "image_id",
            pl.lit("edema").alias("subtask"),
            NO_SUBJECT,
            pl.lit(None, dtype=pl.String).alias("fill"),
            pl.Series("target", names, dtype=pl.String),
            pl.lit([], dtype=Boxes).alias("boxes"),
            json_series(frame["value"]),
            "sources",
            "quality",
        )

    def parse(self, text: str, boxes: Sequence[Box], template: str) -> int | None:
        """A whole class name or a digit 0-3, alone or after ``grade``; else ``None``."""
        answer = _GRADE.sub("", strip_wrapping(text).lower())
        if answer in EDEMA_GRADES:
            return EDEMA_GRADES.index(answer)
        return int(answer) if answer in ("0", "1", "2", "3") else None

    def as_gold(self, parsed: int, template: str) -> Gold:
        """See :meth:`Task.as_gold`."""
        return Gold(EDEMA_GRADES[parsed], [], parsed)
