"""Calculation asks for the cardiothoracic or the cardiopulmonary area ratio, as a number.

The gold answer and the parsed answer are a float in (0, 1). The target states two decimals.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from imaxray.tasks._shared.answers import Gold, strip_wrapping, subtask_of
from imaxray.tasks._shared.base import RuledTask
from imaxray.tasks._shared.drafts import NO_SUBJECT, json_series, one_each
from imaxray.tasks._shared.questions import Question
from imaxray.tasks._shared.reading import Reading
from imaxray.tasks._shared.reading.objects import parse_object
from imaxray.tasks._shared.reading.ratios import ratio_of
from imaxray.tasks._shared.statements import Statement
from imaxray.tasks._shared.tolerances import DEFAULT, HAIR, Tolerances
from imaxray.tasks._shared.truth import Truth

_NUMBER: Final = re.compile(r"\d*\.\d+")
_SAME: Final = 0.02
_RATIO: Final = re.compile(r"\b(?:ctr|cardio-?thoracic ratio)\b", re.IGNORECASE)


def _stated(ratio: float) -> str:
    """Return two decimals, but never ``0.00`` or ``1.00``, which cannot be read as a ratio."""
    return f"{min(max(ratio, 0.01), 0.99):.2f}"


class Calculation(RuledTask):
    """The task to measure a ratio."""

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
        """Make one draft per image and ratio, see :meth:`Task.drafts`."""
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

    def read(
        self, text: str, boxes: Sequence[Box], template: str, reading: Reading
    ) -> float | None:
        """Read a decimal number in (0, 1), or the ratio that a text with other numbers states."""
        bare = strip_wrapping(text)
        if _NUMBER.fullmatch(bare):
            value = float(bare)
            return value if 0 < value < 1 else None
        asked = subtask_of(template)
        name = "json" if parse_object(text) is not None else "ratios"
        return reading.use(name, ratio_of, text, "cpar" if asked == "cpar" else "ctr")

    def as_gold(self, parsed: float, template: str) -> Gold:
        """State the ratio with two decimals, see :meth:`Task.as_gold`."""
        return Gold(_stated(parsed), [], parsed)

    def same(self, first: float, second: float) -> bool:
        """Return whether two ratios differ by at most 0.02, twice the resolution of a target."""
        return abs(first - second) <= _SAME + 1e-9

    def candidates(self, golds: Sequence[Any]) -> Sequence[Any]:
        """Return the median, which minimises the mean absolute error of a constant answer."""
        return (float(np.median(golds)),)

    def stratum(self) -> pl.Expr:
        """Put ratios into bins of 0.05, see :meth:`TaskKnowledge.stratum`."""
        # twentieths are counted as integers, because 0.15 * 20 is 3.0000000000000004 in floats
        twentieth = (pl.col("answer").cast(pl.Float64) * 20).floor().cast(pl.Int64) * 5
        return pl.concat_str(pl.lit("0."), twentieth.cast(pl.String).str.zfill(2))

    def subtask_for(self, prompt: str) -> str:
        """Return the CTR if the prompt names it, else the CPAR."""
        return "ctr" if _RATIO.search(prompt) else "cpar"

    def asked_subtasks(self, counts: Mapping[str, int]) -> list[str]:
        """Return every ratio that train entries have, or all if they have none."""
        return [name for name in counts if counts[name]] or list(counts)

    def true_answer(self, question: Question, truth: Truth) -> float | None:
        """Return the ratio that was drawn, see :meth:`TaskKnowledge.true_answer`."""
        return truth.ratios[subtask_of(question.template)]

    def is_correct(self, answer: float, gold: float, tolerances: Tolerances = DEFAULT) -> bool:
        """Return whether a ratio is within ``tolerances.ratio`` of the gold ratio."""
        return bool(abs(answer - gold) <= tolerances.ratio + HAIR)

    def statements(
        self,
        question: Question,
        gold: float,
        *,
        size: tuple[int, int] | None,
        usual: Collection[str],
    ) -> Iterator[Statement]:
        """Yield the ratio, see :meth:`TaskKnowledge.statements`."""
        yield Statement("measurement", subtask_of(question.template), gold)

    def facts(self, question: Question, gold: float) -> list[dict[str, Any]]:
        """Return one measurement, see :meth:`TaskKnowledge.facts`."""
        name = subtask_of(question.template)
        return [{"kind": "measurement", "name": name, "value": float(gold)}]
