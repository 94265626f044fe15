"""Calculation: the cardiothoracic and the cardiopulmonary area ratio, as a number.

Gold and parsed answer: a float in (0, 1). The target states two decimals.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from imaxray.boxes import Box
from imaxray.metrics import (
    bland_altman,
    invalid_rate,
    mean_absolute_error,
    median_absolute_error,
    within,
)
from imaxray.schema import Boxes
from imaxray.tasks.base import NO_SUBJECT, Gold, Task, json_series, one_each, strip_wrapping

_NUMBER: Final = re.compile(r"(?<![\d.-])(\d*\.\d+|\d+(?=\s*%))(\s*%)?")
_SAME: Final = 0.02


def _stated(ratio: float) -> str:
    """Two decimals, never ``0.00`` or ``1.00``: a target must be readable as a ratio."""
    return f"{min(max(ratio, 0.01), 0.99):.2f}"


class Calculation(Task):
    """Measure a ratio."""

    name = "calculation"
    templates = {
        "ctr": (
            "Measure the cardiothoracic ratio.",
            "What is the cardiothoracic ratio?",
            "Calculate the CTR of this radiograph.",
        ),
        "cpar": (
            "Measure the cardiopulmonary area ratio.",
            "What is the cardiopulmonary area ratio?",
            "Calculate the CPAR of this radiograph.",
        ),
    }
    metrics = (
        mean_absolute_error(1.0),
        median_absolute_error(1.0),
        within(0.05),
        *bland_altman(1.0),
        invalid_rate(),
    )

    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """See :meth:`Task.drafts`."""
        facts = annotations.filter(
            pl.col("kind") == "measurement", pl.col("name").is_in(["ctr", "cpar"])
        ).sort("origin", maintain_order=True)
        value = pl.col("value")
        frame = one_each(facts, ["image_id", "name"], [value], [value.first()])
        return frame.select(
            "image_id",
            pl.col("name").cast(pl.String).alias("subtask"),
            NO_SUBJECT,
            pl.lit(None, dtype=pl.String).alias("fill"),
            pl.Series("target", [_stated(value) for value in frame["value"]], dtype=pl.String),
            pl.lit([], dtype=Boxes).alias("boxes"),
            json_series(frame["value"]),
            "sources",
            "quality",
        )

    def parse(self, text: str, boxes: Sequence[Box], template: str) -> float | None:
        """The first decimal or percentage (``52%`` is 0.52); ``None`` unless it lies in (0, 1).

        A minus sign right before the number makes it unreadable: no ratio is negative.
        """
        found = _NUMBER.search(strip_wrapping(text))
        if found is None:
            return None
        value = float(found.group(1)) / (100 if found.group(2) else 1)
        return value if 0 < value < 1 else None

    def as_gold(self, parsed: float, template: str) -> Gold:
        """See :meth:`Task.as_gold`."""
        return Gold(_stated(parsed), [], parsed)

    def same(self, first: float, second: float) -> bool:
        """Within 0.02, twice what the two decimals of a target can tell."""
        return abs(first - second) <= _SAME + 1e-9

    def candidates(self, golds: Sequence[Any]) -> Sequence[Any]:
        """The median, which no constant beats in absolute error."""
        return (float(np.median(golds)),)
