"""Answer strata: the bins within which two arms must hold the same number of entries."""

from __future__ import annotations

from typing import Any

import polars as pl

from imaxray.tasks import from_json, subtask_of


def with_strata(entries: pl.DataFrame) -> pl.DataFrame:
    """Add ``stratum``: task, subtask and answer bin, e.g. ``calculation.ctr.0.45``.

    Bins: ratios by 0.05; reports by words (20); grades; findings by their number; phrases by where
    they come from; closed questions by yes / no / other, open ones by the number of answers.
    """
    columns = entries.select("task", "template", "answer", "target", "quality")
    strata = [
        f"{task}.{subtask_of(template)}.{_bin(task, from_json(answer), target, quality)}"
        for task, template, answer, target, quality in columns.iter_rows()
    ]
    return entries.with_columns(pl.Series("stratum", strata, dtype=pl.String))


def _bin(task: str, answer: Any, target: str, quality: str) -> str:
    if task == "calculation":
        return f"{int(answer * 20) / 20:.2f}"
    if task == "report":
        return f"{min(len(target.split()) // 20 * 20, 200)} words"
    if task == "grading":
        return f"grade {answer}"
    if task == "findings":
        positive = sum(value == 1 for label, value in answer.items() if label != "No Finding")
        return f"{min(positive, 4)} findings"
    if task in ("rec", "reg"):
        return quality
    if answer["closed"]:
        first = answer["answers"][0] if answer["answers"] else "none"
        return first if first in ("yes", "no") else "other"
    return f"{min(len(answer['answers']), 3)} answers"
