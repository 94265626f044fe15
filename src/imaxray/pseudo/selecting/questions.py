"""Finds the true answer to a candidate's question and removes labels from a candidate's answer."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from imaxray.tasks import Question, from_json, get_task, to_json


def truth_of(candidates: pl.DataFrame, entries: pl.DataFrame) -> dict[str, str]:
    """Find the gold answer to each candidate's question, if ``entries`` has the question.

    The entry must be of the same image and task. The task decides whether two questions are the
    same (:meth:`imaxray.tasks.Task.same_question`); the entry that agrees best is used.

    Args:
        candidates: Candidates (schema PSEUDO).
        entries: Entries that contain true answers (schema ENTRIES).

    Returns:
        pseudo_id → canonical JSON of the gold answer.
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
    """Remove labels from an answer that states them as present.

    Args:
        task: Name of the task.
        answer: Canonical JSON of the answer in gold form.
        labels: Labels to remove.

    Returns:
        Canonical JSON and target of the remaining answer; ``None`` if the answer does not state all
        labels as present, or if no label is left.
    """
    left = get_task(task).without(from_json(answer), labels)
    return None if left is None else (to_json(left.answer), left.target)
