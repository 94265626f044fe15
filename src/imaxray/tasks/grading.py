"""Grading asks for the severity of pulmonary edema.

The gold answer and the parsed answer are an int 0-3. The target is the name of the grade.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import polars as pl

from imaxray.boxes import Box
from imaxray.metrics import Floats, confusion, grade_metrics, invalid_rate
from imaxray.schema import EDEMA_GRADES, Boxes
from imaxray.tasks._shared.answers import Gold, strip_wrapping
from imaxray.tasks._shared.base import RuledTask
from imaxray.tasks._shared.drafts import NO_SUBJECT, json_series, one_each
from imaxray.tasks._shared.questions import Question
from imaxray.tasks._shared.reading import Reading
from imaxray.tasks._shared.reading.grades import grade_of
from imaxray.tasks._shared.reading.objects import parse_object
from imaxray.tasks._shared.reading.options import choice, options_of
from imaxray.tasks._shared.statements import Statement
from imaxray.tasks._shared.tolerances import DEFAULT, Tolerances
from imaxray.tasks._shared.truth import Truth

_GRADE: Final = re.compile(r"^grade\s*:?\s*")


class Grading(RuledTask):
    """The task to grade pulmonary edema."""

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
        """Make one draft per image, see :meth:`Task.drafts`."""
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

    def read(self, text: str, boxes: Sequence[Box], template: str, reading: Reading) -> int | None:
        """Read the name of a grade or a digit 0-3, or the only grade that other words state."""
        answer = _GRADE.sub("", strip_wrapping(text).lower())
        if answer in EDEMA_GRADES:
            return EDEMA_GRADES.index(answer)
        if answer in ("0", "1", "2", "3"):
            return int(answer)
        options = options_of(reading.prompt)
        if options and (chosen := choice(text, options)) is not None:
            return reading.use("options", grade_of, chosen)
        if parse_object(text) is not None:
            return reading.use("json", grade_of, text)
        return reading.use("grades", grade_of, text)

    def as_gold(self, parsed: int, template: str) -> Gold:
        """State the name of the grade, see :meth:`Task.as_gold`."""
        return Gold(EDEMA_GRADES[parsed], [], parsed)

    def stratum(self) -> pl.Expr:
        """Use the grade as stratum, see :meth:`TaskKnowledge.stratum`."""
        return pl.concat_str(pl.lit("grade "), pl.col("answer"))

    def true_answer(self, question: Question, truth: Truth) -> int:
        """Return the grade that was drawn, see :meth:`TaskKnowledge.true_answer`."""
        return truth.edema_grade

    def details(self, statistics: Mapping[str, Floats]) -> Mapping[str, Any]:
        """Return the confusion matrix, gold by answer, see :meth:`TaskKnowledge.details`."""
        return {
            "confusion": {
                "gold": list(EDEMA_GRADES),
                "answer": [*EDEMA_GRADES, "unreadable"],
                "counts": confusion(statistics[self.primary.name], len(EDEMA_GRADES)),
            }
        }

    def is_correct(self, answer: int, gold: int, tolerances: Tolerances = DEFAULT) -> bool:
        """Return whether a grade is at most ``tolerances.grade`` grades from the gold grade."""
        return bool(abs(answer - gold) <= tolerances.grade)

    def statements(
        self,
        question: Question,
        gold: int,
        *,
        size: tuple[int, int] | None,
        usual: Collection[str],
    ) -> Iterator[Statement]:
        """Yield the grade, see :meth:`TaskKnowledge.statements`."""
        yield Statement("grade", "edema", gold)

    def facts(self, question: Question, gold: int) -> list[dict[str, Any]]:
        """Return one grade, see :meth:`TaskKnowledge.facts`."""
        return [{"kind": "grade", "name": "edema", "value": float(gold)}]
