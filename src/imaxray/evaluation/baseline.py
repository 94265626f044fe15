"""Scores answers that ignore the image (baselines) and answers that equal the gold (ceiling)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from imaxray.boxes import BoxConvention, split_boxes
from imaxray.evaluation.scoring import Scores, score, score_answers
from imaxray.metrics import NORMALISATION, Normalisation
from imaxray.schema import image_sizes
from imaxray.tasks import Task, from_json, get_task, subtask_of, to_json


def constant_baseline(
    train: pl.DataFrame,
    test: pl.DataFrame,
    images: pl.DataFrame,
    normalisation: Normalisation = NORMALISATION,
) -> Scores:
    """Score, for each task and subtask, the single answer that is best on the *training* entries.

    The answer is the best class, the median or the most typical report. No constant answer that
    ignores both image and question is stronger. Boxes are constant in shares of the image size.

    Args:
        train: Training entries, schema ENTRIES; the constant answers are chosen from them.
        test: Entries to score, schema ENTRIES.
        images: Images of both, schema IMAGES; their sizes turn pixels into shares and back.
        normalisation: How texts are made comparable when the answers are scored.
    """
    return _fixed(train, test, images, lambda task, golds: task.constant(golds), normalisation)


def majority_baseline(
    train: pl.DataFrame,
    test: pl.DataFrame,
    images: pl.DataFrame,
    normalisation: Normalisation = NORMALISATION,
) -> Scores:
    """Score, for each task and subtask, the most frequent answer of the *training* entries.

    Ties are resolved by the order of the answers' JSON. For tasks whose answers rarely repeat
    (boxes, reports), this baseline means little, and :func:`constant_baseline` is stronger.

    Args:
        train: Training entries, schema ENTRIES; the answers are counted in them.
        test: Entries to score, schema ENTRIES.
        images: Images of both, schema IMAGES; their sizes turn pixels into shares and back.
        normalisation: How texts are made comparable when the answers are scored.
    """
    return _fixed(train, test, images, _most_frequent, normalisation)


def ceiling(
    entries: pl.DataFrame,
    images: pl.DataFrame,
    convention: BoxConvention,
    normalisation: Normalisation = NORMALISATION,
) -> Scores:
    """Score the gold targets, written in a model's box convention and read back.

    These are the scores of a model that answers exactly as it was trained. They are below the
    perfect value where a target is rounded (a ratio to two decimals, a box to the convention's
    grid).

    Args:
        entries: Entries to score, schema ENTRIES.
        images: Images of the entries, schema IMAGES.
        convention: Box convention of the model.
        normalisation: How texts are made comparable when the answers are scored.
    """
    sizes = image_sizes(images)
    texts = []
    for entry in entries.iter_rows(named=True):
        parts = split_boxes(entry["prompt"], entry["target"], entry["boxes"] or [])
        boxes = parts[1] if parts else []  # a text without boxes stays as it is
        texts.append(convention.fill(entry["target"], boxes, *sizes[entry["image_id"]]))
    predictions = entries.select("entry_id").with_columns(pl.Series("text", texts, dtype=pl.String))
    return score(entries, predictions, images, convention, rules=(), normalisation=normalisation)


def _fixed(
    train: pl.DataFrame,
    test: pl.DataFrame,
    images: pl.DataFrame,
    choose: Callable[[Task, Sequence[Any]], Any],
    normalisation: Normalisation,
) -> Scores:
    sizes = image_sizes(images)
    golds: dict[tuple[str, str], list[Any]] = defaultdict(list)
    columns = ["task", "template", "answer", "image_id"]
    for task, template, answer, image in train.sort("entry_id").select(columns).iter_rows():
        gold = get_task(task).in_shares(from_json(answer), sizes[image])
        golds[task, subtask_of(template)].append(gold)
    constants = {key: choose(get_task(key[0]), values) for key, values in golds.items()}

    def answer_of(entry: Mapping[str, Any]) -> tuple[str, Any]:
        constant = constants.get((entry["task"], subtask_of(entry["template"])))
        if constant is None:
            return "", None
        return "", get_task(entry["task"]).in_pixels(constant, sizes[entry["image_id"]])

    return score_answers(test, answer_of, normalisation=normalisation)


def _most_frequent(task: Task, golds: Sequence[Any]) -> Any:
    counts = Counter(to_json(task.given(gold)) for gold in golds)
    return from_json(min(counts, key=lambda key: (-counts[key], key)))
