"""Score raw answers: undo the box convention, parse by task, keep additive statistics per entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from imaxray.boxes import BoxConvention
from imaxray.errors import ImaxrayError
from imaxray.metrics import Floats
from imaxray.tasks import from_json, get_task, to_json


@dataclass(frozen=True)
class TaskScores:
    """Scores of one task.

    Attributes:
        entry_ids: length n, sorted.
        patients: patient of each entry, length n.
        statistics: metric name → additive statistics (n, k).
    """

    entry_ids: list[str]
    patients: list[str]
    statistics: Mapping[str, Floats]


@dataclass(frozen=True)
class Scores:
    """Scores of one model (or baseline) on a set of entries.

    Attributes:
        tasks: task name → scores, in the order of the schema; tasks without entries are absent.
        table: one row an entry: entry_id, image_id, patient_id, task, text, answer (parsed, JSON;
            null if unreadable), score (the primary metric of that entry alone).
    """

    tasks: Mapping[str, TaskScores]
    table: pl.DataFrame


_TABLE = pl.Schema(
    {
        "entry_id": pl.String,
        "image_id": pl.String,
        "patient_id": pl.String,
        "task": pl.String,
        "text": pl.String,
        "answer": pl.String,
        "score": pl.Float64,
    }
)


def score(
    entries: pl.DataFrame,
    predictions: pl.DataFrame,
    images: pl.DataFrame,
    convention: BoxConvention,
) -> Scores:
    """Score ``predictions`` (entry_id, text) against ``entries``.

    Args:
        entries: schema ENTRIES.
        predictions: raw model text of every entry.
        images: gives each image's size, by which boxes become pixels.
        convention: how the model writes boxes.

    Raises:
        ImaxrayError: an entry has no prediction.
    """
    texts = dict(predictions.select("entry_id", "text").iter_rows())
    missing = [e for e in entries["entry_id"] if e not in texts]
    if missing:
        raise ImaxrayError(
            f"Expected a prediction for each of {entries.height} entries, but {len(missing)} have "
            f"none (first: {missing[0]}); generate answers for all of them."
        )
    sizes = {i: (w, h) for i, w, h in images.select("image_id", "width", "height").iter_rows()}

    def parsed(entry: Mapping[str, Any]) -> tuple[str, Any]:
        text = texts[entry["entry_id"]]
        bare, boxes = convention.extract(text, *sizes[entry["image_id"]])
        return text, get_task(entry["task"]).parse(bare, boxes, entry["template"])

    return score_answers(entries, parsed)


def score_answers(
    entries: pl.DataFrame, answer_of: Callable[[Mapping[str, Any]], tuple[str, Any]]
) -> Scores:
    """Score answers that are given as (raw text, parsed answer) by a function of the entry."""
    tasks: dict[str, TaskScores] = {}
    rows: list[tuple[Any, ...]] = []
    for task_name in entries["task"].unique(maintain_order=True).to_list():
        task = get_task(task_name)
        of_task = entries.filter(pl.col("task") == task_name).sort("entry_id")
        golds, answers = [], []
        for entry in of_task.iter_rows(named=True):
            gold, (text, answer) = from_json(entry["answer"]), answer_of(entry)
            golds.append(gold)
            answers.append(answer)
            own = task.primary([gold], [answer])
            rows.append((
                entry["entry_id"], entry["image_id"], entry["patient_id"], task_name, text,
                None if answer is None else to_json(answer), own,
            ))  # fmt: skip
        tasks[task_name] = TaskScores(
            of_task["entry_id"].to_list(),
            of_task["patient_id"].to_list(),
            {metric.name: metric.matrix(golds, answers) for metric in task.metrics},
        )
    return Scores(tasks, pl.DataFrame(rows, schema=_TABLE, orient="row"))


def primary_values(scores: Scores) -> dict[str, float]:
    """Primary metric of every task over all entries."""
    values = {}
    for name, of_task in scores.tasks.items():
        metric = get_task(name).primary
        values[name] = float(metric.value(np.sum(of_task.statistics[metric.name], axis=0)))
    return values
