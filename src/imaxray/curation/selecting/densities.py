"""Measures the density of a split: tasks per image and entries per image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from imaxray.curation.tables import Tables
from imaxray.schema import task_names


@dataclass(frozen=True)
class Density:
    """Holds the numbers that say how image-centric a split is.

    Attributes:
        images: number of images with at least one entry.
        patients: number of patients of those images.
        entries: number of entries.
        tasks_per_image: mean number of distinct tasks per image.
        entries_per_image: mean number of entries per image.
        entries_per_task: entries of each task, zero where there are none.
        images_by_tasks: number of images with exactly k tasks, for k from 1 to the number of tasks.
    """

    images: int
    patients: int
    entries: int
    tasks_per_image: float
    entries_per_image: float
    entries_per_task: Mapping[str, int]
    images_by_tasks: Mapping[int, int]


def density(tables: Tables, split: str = "train") -> Density:
    """Measure one split of a dataset.

    Example:
        >>> from imaxray.schema import ANNOTATIONS, ENTRIES, IMAGES, conform, empty
        >>> rows = {"image_id": ["a", "a", "b"], "task": ["vqa", "rec", "vqa"], "split": "train"}
        >>> entries = conform(pl.DataFrame(rows), ENTRIES)
        >>> found = density(Tables(empty(IMAGES), empty(ANNOTATIONS), entries))
        >>> found.images, found.tasks_per_image, found.entries_per_task["vqa"]
        (2, 1.5, 2)
    """
    return density_of(tables.split(split))


def density_of(entries: pl.DataFrame) -> Density:
    """Measure the entries of one split (columns image_id, patient_id and task)."""
    per_image = (
        entries.group_by("image_id", "task").len("entries").group_by("image_id")
        .agg(pl.len().alias("tasks"), pl.col("entries").sum())
    )  # fmt: skip
    per_task = dict(entries.group_by("task").len().iter_rows())
    by_tasks = dict(per_image.group_by("tasks").len().iter_rows())
    images = per_image.height
    return Density(
        images=images,
        patients=entries["patient_id"].n_unique(),
        entries=entries.height,
        tasks_per_image=int(per_image["tasks"].sum()) / images if images else 0.0,
        entries_per_image=entries.height / images if images else 0.0,
        entries_per_task={task: per_task.get(task, 0) for task in task_names()},
        images_by_tasks={k: by_tasks.get(k, 0) for k in range(1, len(task_names()) + 1)},
    )
