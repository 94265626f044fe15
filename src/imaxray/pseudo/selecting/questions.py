"""The truth about a candidate's question, and a candidate's answer less some labels."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from imaxray.tasks import Question, from_json, get_task, to_json


def truth_of(candidates: pl.DataFrame, entries: pl.DataFrame) -> dict[str, str]:
    """The gold answer of each candidate's question, where ``entries`` has the question.

    The entry is of the same image and task; the task says whether it asks the same
    (:meth:`imaxray.tasks.Task.same_question`), and of several the one that agrees best counts.

    Returns:
        pseudo_id → canonical JSON.
    """
    images = candidates["image_id"].unique().implode()
    asked: dict[tuple[str, str], list[tuple[Question, str]]] = {}
    for entry in entries.filter(pl.col("image_id").is_in(images)).iter_rows(named=True):
        pair = (Question.of(entry), entry["answer"])
        asked.setdefault((entry["image_id"], entry["task"]), []).append(pair)
    found = {}
    for row in candidates.iter_rows(named=True):
        task, mine = get_task(row["task"]), Question.of(row)
        others = asked.get((row["image_id"], row["task"]), [])
        scored = [(task.same_question(mine, other), answer) for other, answer in others]
        agrees, answer = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
        if agrees > 0:
            found[row["pseudo_id"]] = answer
    return found


def masked(task: str, answer: str, labels: Collection[str]) -> tuple[str, str] | None:
    """An answer, as canonical JSON, and its target less some labels that it states as present.

    ``None`` where it does not state them all, or where nothing is left.
    """
    left = get_task(task).without(from_json(answer), labels)
    return None if left is None else (to_json(left.answer), left.target)
