"""The seven tasks: annotations to entries, answers parsed back, metrics."""

from __future__ import annotations

from typing import Final

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.tasks.base import Gold, Task, from_json, subtask_of, to_json, with_image_hash
from imaxray.tasks.calculation import Calculation
from imaxray.tasks.findings import Findings
from imaxray.tasks.grading import Grading
from imaxray.tasks.reading import RULES, clean_answer, reading_rules
from imaxray.tasks.rec import Rec
from imaxray.tasks.reg import Reg
from imaxray.tasks.report import Report
from imaxray.tasks.vqa import Vqa

_ALL: Final[tuple[Task, ...]] = (
    Calculation(),
    Report(),
    Grading(),
    Findings(),
    Rec(),
    Reg(),
    Vqa(),
)


def all_tasks() -> tuple[Task, ...]:
    """The seven tasks, in the order of the schema."""
    return _ALL


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ImaxrayError: there is none.

    Example:
        >>> get_task("calculation").parse("The ratio is 52%.", [], "calculation.ctr.0")
        0.52
        >>> get_task("grading").parse("Interstitial edema", [], "grading.edema.0")
        2
        >>> get_task("vqa").primary.name
        'score'
    """
    for task in _ALL:
        if task.name == name:
            return task
    raise ImaxrayError(
        f"Expected one of the tasks {', '.join(task.name for task in _ALL)}, but got {name}."
    )


def make_entries(annotations: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """Entries (schema ENTRIES) of all tasks from catalog annotations; sorted by task and id.

    ``images`` must have its ``split`` assigned.
    """
    images = with_image_hash(images)
    return pl.concat([task.entries(annotations, images) for task in _ALL])


__all__ = [
    "RULES",
    "Gold",
    "Task",
    "all_tasks",
    "clean_answer",
    "from_json",
    "get_task",
    "make_entries",
    "reading_rules",
    "subtask_of",
    "to_json",
]
