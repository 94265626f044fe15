"""A candidate's question, the truth about it, and its answer less some labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import polars as pl

from imaxray.boxes import Box, iou
from imaxray.metrics import normalise
from imaxray.schema import FINDINGS
from imaxray.tasks import from_json, get_task, subtask_of, to_json

_SAME_BOX: Final = 0.5


def asked_text(task: str, template: str, prompt: str) -> str:
    """The phrase of a REC prompt or the question of a VQA prompt: what fills the template."""
    return get_task(task).fill_of(template, prompt) or prompt


def asked_boxes(prompt: str, boxes: list[list[float]] | None) -> list[list[float]]:
    """The boxes of an entry that belong to its prompt."""
    return (boxes or [])[: prompt.count("<box>")]


def truth_of(candidates: pl.DataFrame, entries: pl.DataFrame) -> dict[str, str]:
    """The gold answer of each candidate's question, where ``entries`` has the question.

    The same image and task; calculation: the same ratio; REC: the same phrase and VQA: the same
    question after normalisation; REG: the box of greatest IoU, at least 0.5.

    Returns:
        pseudo_id → canonical JSON.
    """
    images = candidates["image_id"].unique().implode()
    gold: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in entries.filter(pl.col("image_id").is_in(images)).iter_rows(named=True):
        gold.setdefault((entry["image_id"], entry["task"]), []).append(entry)
    found = {}
    for row in candidates.iter_rows(named=True):
        match = _match(row, gold.get((row["image_id"], row["task"]), []))
        if match is not None:
            found[row["pseudo_id"]] = match["answer"]
    return found


def _match(row: Mapping[str, Any], entries: list[dict[str, Any]]) -> Mapping[str, Any] | None:
    task = row["task"]
    if task == "reg":
        asked = asked_boxes(row["prompt"], row["boxes"])
        if not asked:
            return None
        scored = [(_overlap(asked, asked_boxes(e["prompt"], e["boxes"])), e) for e in entries]
        best = max(scored, key=lambda pair: pair[0], default=None)
        return best[1] if best and best[0] >= _SAME_BOX else None
    for entry in entries:
        if task in ("rec", "vqa"):
            same = _question(task, row) == _question(task, entry)
        elif task == "calculation":
            same = subtask_of(row["template"]) == subtask_of(entry["template"])
        else:
            same = True
        if same:
            return entry
    return None


def _question(task: str, row: Mapping[str, Any]) -> str:
    return normalise(asked_text(task, row["template"], row["prompt"]))


def _overlap(one: list[list[float]], other: list[list[float]]) -> float:
    return iou(box_of(one[0]), box_of(other[0])) if one and other else 0.0


def box_of(corners: list[float]) -> Box:
    """Four corners of a table as a box."""
    x1, y1, x2, y2 = corners
    return x1, y1, x2, y2


def masked(answer: str, labels: Collection[str]) -> tuple[str, str] | None:
    """A findings answer and its target less some labels; ``None`` where nothing is left."""
    left = {label: value for label, value in from_json(answer).items() if label not in labels}
    positive = [label for label in FINDINGS if left.get(label) == 1]
    return (to_json(left), ", ".join(positive)) if positive else None
