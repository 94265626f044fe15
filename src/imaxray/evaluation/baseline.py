"""What answers get without looking at the image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import polars as pl

from imaxray.evaluation.scoring import Scores, score_answers
from imaxray.tasks import from_json, get_task, subtask_of


def constant_baseline(train: pl.DataFrame, test: pl.DataFrame, images: pl.DataFrame) -> Scores:
    """For each task and subtask the one answer that does best on the *training* entries.

    It is the majority class, the median, the most typical report: the strongest answer that ignores
    both image and question. Boxes are constant in shares of the image.
    """
    sizes = {i: (w, h) for i, w, h in images.select("image_id", "width", "height").iter_rows()}
    golds: dict[tuple[str, str], list[Any]] = defaultdict(list)
    columns = ["task", "template", "answer", "image_id"]
    for task, template, answer, image in train.sort("entry_id").select(columns).iter_rows():
        gold = from_json(answer)
        if task == "rec":
            gold = _scaled(gold, 1 / sizes[image][0], 1 / sizes[image][1])
        golds[task, subtask_of(template)].append(gold)
    constants = {key: get_task(key[0]).constant(values) for key, values in golds.items()}

    def answer_of(entry: Mapping[str, Any]) -> tuple[str, Any]:
        constant = constants.get((entry["task"], subtask_of(entry["template"])))
        if entry["task"] == "rec" and constant is not None:
            constant = _scaled(constant, *sizes[entry["image_id"]])
        return "", constant

    return score_answers(test, answer_of)


def _scaled(boxes: list[list[float]], x: float, y: float) -> list[list[float]]:
    return [[x1 * x, y1 * y, x2 * x, y2 * y] for x1, y1, x2, y2 in boxes]
