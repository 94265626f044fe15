"""Judges derived entries by true entries of the same images, and counts the yield of each rule."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from imaxray.derive.applying.measure import interval
from imaxray.derive.entries.render import Rendered
from imaxray.tasks import Question, from_json, get_task

YIELDS: Final = pl.Schema(
    {
        "rule": pl.String,
        "task": pl.String,
        "entries": pl.Int64,
        "judged": pl.Int64,  # entries whose question the truth answers
        "right": pl.Int64,
        "precision": pl.Float64,
        "patients": pl.Int64,
        "clean": pl.Int64,  # patients of whom every judged entry is right
        "low": pl.Float64,  # Clopper-Pearson interval of clean over patients
        "high": pl.Float64,
    }
)
"""Derived entries by their last rule and their task, with their precision by the truth."""


def judged_entries(made: Rendered, truth: pl.DataFrame | None) -> pl.DataFrame:
    """Count the derived entries of each rule and task, and judge them (schema YIELDS).

    Args:
        made: Derived entries and derivations.
        truth: True entries (schema ENTRIES); ``None`` judges nothing.
    """
    marks = {} if truth is None else _marks(made.entries, truth)
    frame = made.entries.join(made.derivations, on="entry_id", how="left", maintain_order="left")
    right = pl.Series("right", [marks.get(i) for i in frame["entry_id"]], dtype=pl.Boolean)
    frame = frame.with_columns(right)
    rows: list[tuple[Any, ...]] = []
    for (rule, task), part in sorted(frame.partition_by("rule", "task", as_dict=True).items()):
        judged = part.filter(pl.col("right").is_not_null())
        patients = judged.group_by("patient_id").agg(pl.col("right").all())["right"]
        good, clean = int(judged["right"].sum()), int(patients.sum())
        low, high = interval(clean, patients.len())
        share = good / judged.height if judged.height else None
        rows.append(
            (rule, task, part.height, judged.height, good, share, patients.len(), clean, low, high)
        )
    return pl.DataFrame(rows, schema=YIELDS, orient="row")


def _marks(entries: pl.DataFrame, truth: pl.DataFrame) -> dict[str, bool]:
    """Return whether each derived entry is right, for those whose question the truth answers."""
    known = truth.filter(pl.col("image_id").is_in(entries["image_id"].unique().implode()))
    asked: dict[tuple[str, str], list[tuple[Question, str]]] = {}
    for row in known.iter_rows(named=True):
        asked.setdefault((row["image_id"], row["task"]), []).append(
            (Question.of(row), row["answer"])
        )
    marks: dict[str, bool] = {}
    for row in entries.iter_rows(named=True):
        task, mine = get_task(row["task"]), Question.of(row)
        others = asked.get((row["image_id"], row["task"]), [])
        scored = [(task.same_question(mine, other), answer) for other, answer in others]
        agrees, answer = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
        gold = from_json(answer) if agrees > 0 else None
        if gold is not None and task.decides(gold):
            marks[row["entry_id"]] = task.is_correct(from_json(row["answer"]), gold)
    return marks
