"""What entries and candidates state about an image, one row a statement.

Kinds and names are those of :mod:`imaxray.tasks.statements`; each task says what its answers state.
Real facts are taken from the *entries* of a dataset, never from its annotations: those of DMAX
hold what the dataset is supposed to lack.
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
        "strength": pl.Float64,  # of a candidate; null for real ones
        "task": pl.String,
        "kind": pl.String,
        "name": pl.String,
        "value": pl.Float64,
        "phrase": pl.String,
        "boxes": Boxes,
        "place": pl.String,  # fits, misses; null: the phrase or the box says nothing
    }
)

_NOTHING: Final[frozenset[str]] = frozenset()


def usual_labels(task: str, entries: pl.DataFrame) -> frozenset[str]:
    """Labels that real entries of a task usually state, so that silence denies them."""
    answers = entries.filter(pl.col("task") == task)["answer"]
    return get_task(task).usual_labels([from_json(answer) for answer in answers])


def facts_of(
    candidates: pl.DataFrame, strengths: pl.Series, entries: pl.DataFrame, images: pl.DataFrame
) -> pl.DataFrame:
    """Statements (schema FACTS) of readable candidates and of the real entries of their images."""
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
    """Statements of one entry or candidate.

    Args:
        row: of either table.
        size: width and height of a frontal image in pixels.
        usual: labels whose absence denies them; none for a real row.
    """
    gold = from_json(row["answer"])
    return get_task(row["task"]).statements(Question.of(row), gold, size=size, usual=usual)
