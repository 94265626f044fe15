"""Collects the statements of entries and candidates about an image, one row per statement.

The module :mod:`imaxray.tasks._shared.statements` defines kinds and names, and each task knows
what its answers state. Real statements come from the *entries* of a dataset and never from its
annotations, because the annotations of DMAX contain the facts that the dataset is supposed to
lack.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import polars as pl

from imaxray.schema import FRONTAL, Boxes
from imaxray.tasks import Question, Statement, from_json, get_task

FACTS: Final = pl.Schema(
    {
        "image_id": pl.String,
        "owner": pl.String,  # pseudo_id or entry_id
        "real": pl.Boolean,
        "strength": pl.Float64,  # strength of a candidate; null for a real entry
        "task": pl.String,
        "kind": pl.String,
        "name": pl.String,
        "value": pl.Float64,
        "phrase": pl.String,
        "boxes": Boxes,
        "place": pl.String,  # fits or misses; null if the place cannot be judged
    }
)

_NOTHING: Final[frozenset[str]] = frozenset()


def usual_labels(task: str, entries: pl.DataFrame) -> frozenset[str]:
    """Return the labels that real entries of a task usually state, so that silence denies them."""
    answers = entries.filter(pl.col("task") == task)["answer"]
    return get_task(task).usual_labels([from_json(answer) for answer in answers])


def facts_of(
    candidates: pl.DataFrame, strengths: pl.Series, entries: pl.DataFrame, images: pl.DataFrame
) -> pl.DataFrame:
    """Collect the statements of readable candidates and of the real entries of their images.

    Args:
        candidates: Candidates (schema PSEUDO).
        strengths: Strength of each candidate, float64.
        entries: Real entries (schema ENTRIES).
        images: Images (schema IMAGES).

    Returns:
        Statements (schema FACTS).
    """
    ids = candidates["image_id"].unique().implode()
    usual = {task: usual_labels(task, entries) for task in candidates["task"].unique()}
    real = entries.filter(pl.col("image_id").is_in(ids))
    sizes = {
        i: (w, h) if view is None or view in FRONTAL else None
        for i, w, h, view in images.select("image_id", "width", "height", "view").iter_rows()
    }
    rows: list[tuple[Any, ...]] = []
    for row, strength in zip(candidates.iter_rows(named=True), strengths, strict=True):
        if row["answer"] is None:
            continue
        head = (row["image_id"], row["pseudo_id"], False, strength, row["task"])
        said = _statements(row, sizes.get(row["image_id"]), usual[row["task"]])
        rows += [(*head, *statement) for statement in said]
    for row in real.iter_rows(named=True):
        head = (row["image_id"], row["entry_id"], True, None, row["task"])
        said = _statements(row, sizes.get(row["image_id"]), _NOTHING)
        rows += [(*head, *statement) for statement in said]
    return pl.DataFrame(rows, schema=FACTS, orient="row")


def _statements(
    row: Mapping[str, Any], size: tuple[int, int] | None, usual: Collection[str]
) -> Iterator[Statement]:
    """Yield the statements of one entry or candidate.

    Args:
        row: Row of entries or of candidates.
        size: Width and height of a frontal image in pixels; ``None`` for other views.
        usual: Labels that the answer denies if it does not name them; empty for a real entry.
    """
    gold = from_json(row["answer"])
    return get_task(row["task"]).statements(Question.of(row), gold, size=size, usual=usual)
