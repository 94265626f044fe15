"""IMAX: few images, each with many tasks and entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, model_validator

from imaxray.curation.tables import Tables
from imaxray.curation.target_means import nearest_means
from imaxray.errors import ImaxrayError
from imaxray.hashing import digests, from_hexadecimal, mixed
from imaxray.schema import TaskName, task_names


def _possible(number: float) -> float:
    if number > (most := len(task_names())):
        raise ValueError(f"expected at most {most}, the number of tasks, but got {number}")
    return number


_TaskCount = Annotated[int, AfterValidator(_possible)]
_TaskMean = Annotated[float, AfterValidator(_possible)]


class ImaxConfig(BaseModel):
    """What makes an image image-centric, and how much of it to take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_tasks: _TaskCount = Field(4, ge=1, description="tasks an image must have")
    max_entries_per_task: PositiveInt | dict[TaskName, PositiveInt] = Field(
        2, description="entries of one task on one image: one number, or one a task (others: 1)"
    )
    target_entries: int | None = Field(
        None, ge=1, description="stop taking images once so many train entries are in; none: all"
    )
    tasks_per_image: _TaskMean | None = Field(
        None,
        ge=1,
        description="mean tasks an image to reach, instead of the densest images first; needs "
        "target_entries and entries_per_image",
    )
    entries_per_image: float | None = Field(
        None, ge=1, description="mean entries an image to reach; goes with tasks_per_image"
    )
    fill_tasks: int = Field(
        0,
        ge=0,
        description="train entries each task must have; what the dense images lack of a task comes "
        "from the densest other images that have it",
    )
    eval_entries_per_task: int | None = Field(
        None, ge=1, description="val and test entries of one task in all; none: all"
    )

    @model_validator(mode="after")
    def _means_go_together(self) -> ImaxConfig:
        means = (self.tasks_per_image, self.entries_per_image)
        if any(m is not None for m in means) and (None in means or self.target_entries is None):
            raise ValueError(
                "tasks_per_image, entries_per_image and target_entries must be given together"
            )
        return self


@dataclass(frozen=True)
class SelectionReport:
    """What a selection of IMAX found and took.

    Attributes:
        eligible_images: train images with at least ``min_tasks`` tasks.
        eligible_entries: their train entries after the caps.
        images: train images taken.
        entries: train entries taken.
        images_by_tasks: images taken, by their number of tasks.
        limit: what ended the selection, in words.
    """

    eligible_images: int
    eligible_entries: int
    images: int
    entries: int
    images_by_tasks: Mapping[int, int]
    limit: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "eligible_images": self.eligible_images,
            "eligible_entries": self.eligible_entries,
            "images": self.images,
            "entries": self.entries,
            "images_by_tasks": {str(k): n for k, n in self.images_by_tasks.items()},
            "limit": self.limit,
        }


def select_imax(catalog: Tables, config: ImaxConfig) -> tuple[Tables, SelectionReport]:
    """Select IMAX from the catalog, and say what was there and what ended the selection.

    Train: images with at least ``min_tasks`` tasks, at most ``max_entries_per_task`` entries of a
    task on each (drawn by a hash of the entry id), densest images first (tasks, then entries, then
    a hash of the id), whole images, until ``target_entries`` is reached; then ``fill_tasks``, for
    releases that share no image with others and would be left out wholly. Where the means
    ``tasks_per_image`` and ``entries_per_image`` are given, images are not taken by density but so
    that these are met, with the least change of the catalog's own mixture (see
    :mod:`imaxray.curation.target_means`). Validation and test: all images, capped alike; every
    arm of a study shares them.

    Raises:
        ImaxrayError: no image has so many tasks, or the means cannot be met.
    """
    capped = _cap_tasks(catalog.entries, config.max_entries_per_task)
    train = capped.filter(pl.col("split") == "train")
    order = _by_density(train)
    ids = _images(order, config)
    ids = _fill(train, order, ids, config.fill_tasks)
    taken = order.filter(pl.col("image_id").is_in(pl.Series(ids, dtype=pl.String).implode()))
    chosen = train.filter(pl.col("image_id").is_in(taken["image_id"].implode()))
    held_out = capped.filter(pl.col("split") != "train")
    if config.eval_entries_per_task is not None:
        held_out = _cap(held_out, ["split", "task"], config.eval_entries_per_task)
    return subset(catalog, pl.concat([chosen, held_out])), _report(order, taken, config)


def _report(order: pl.DataFrame, taken: pl.DataFrame, config: ImaxConfig) -> SelectionReport:
    eligible = order.filter(pl.col("tasks") >= config.min_tasks)
    entries = int(taken["entries"].sum())
    if config.target_entries is not None and entries >= config.target_entries:
        limit = f"the target of {config.target_entries:,} entries was reached"
    else:
        limit = f"every image with at least {config.min_tasks} tasks was taken"
    by_tasks = dict(taken.group_by("tasks").len().sort("tasks").iter_rows())
    return SelectionReport(
        eligible_images=eligible.height,
        eligible_entries=int(eligible["entries"].sum()),
        images=taken.height,
        entries=entries,
        images_by_tasks=by_tasks,
        limit=limit,
    )


def _by_density(train: pl.DataFrame) -> pl.DataFrame:
    """Images with their numbers of tasks and entries, the densest first."""
    density = train.group_by("image_id").agg(
        pl.col("task").n_unique().alias("tasks"), pl.len().alias("entries")
    )
    return density.with_columns(
        pl.Series("mix", mixed(digests(density["image_id"])), dtype=pl.UInt64)
    ).sort("tasks", "entries", "mix", descending=[True, True, False])


def _images(order: pl.DataFrame, config: ImaxConfig) -> list[str]:
    ranked = order.filter(pl.col("tasks") >= config.min_tasks)
    if ranked.is_empty():
        raise ImaxrayError(
            f"Expected training images with at least {config.min_tasks} tasks, but no image has so "
            "many; lower min_tasks or add releases about the same images."
        )
    if config.target_entries is None:
        return ranked["image_id"].to_list()
    if config.tasks_per_image is not None and config.entries_per_image is not None:
        ranked = nearest_means(
            ranked,
            entries=config.target_entries,
            tasks_per_image=config.tasks_per_image,
            entries_per_image=config.entries_per_image,
        )
        return ranked["image_id"].to_list()
    before = pl.col("entries").cum_sum() - pl.col("entries")
    return ranked.filter(before < config.target_entries)["image_id"].to_list()


def _fill(train: pl.DataFrame, order: pl.DataFrame, chosen: list[str], least: int) -> list[str]:
    """Add images, densest first, until every task has ``least`` entries or no more to give."""
    ids = list(chosen)
    for task in task_names() if least else ():
        counts = dict(train.filter(pl.col("task") == task).group_by("image_id").len().iter_rows())
        have = sum(counts.get(image, 0) for image in ids)
        taken = set(ids)
        for image in order["image_id"]:
            if have >= least:
                break
            if image in counts and image not in taken:
                ids.append(image)
                have += counts[image]
    return ids


def subset(catalog: Tables, entries: pl.DataFrame) -> Tables:
    """The catalog cut down to ``entries``: their images and those images' annotations."""
    ids = entries["image_id"].unique()
    # annotations lie together by image: membership is asked once an image, not once a fact
    runs = catalog.annotations["image_id"].rle().struct.unnest()
    mask = np.repeat(runs["value"].is_in(ids.implode()).to_numpy(), runs["len"].to_numpy())
    return replace(
        catalog,
        images=catalog.images.filter(pl.col("image_id").is_in(ids.implode())),
        annotations=catalog.annotations.filter(pl.Series(mask, dtype=pl.Boolean)),
        entries=entries.sort("split", "task", "entry_id"),
    )


def _cap_tasks(entries: pl.DataFrame, limit: int | Mapping[TaskName, int]) -> pl.DataFrame:
    """At most so many entries of a task on one image."""
    if isinstance(limit, int):
        return _cap(entries, ["image_id", "task"], limit)
    parts = [
        _cap(entries.filter(pl.col("task") == task), ["image_id"], limit.get(task, 1))
        for task in task_names()
    ]
    return pl.concat(parts)


def _cap(entries: pl.DataFrame, group: list[str], limit: int) -> pl.DataFrame:
    """At most ``limit`` entries a group; which ones is a matter of the (hashed) entry ids."""
    crowded = entries.filter(pl.len().over(group) > limit)
    if crowded.is_empty():
        return entries
    # mixed once more: the id's own digits already decide the prompt's wording
    drawn = mixed(from_hexadecimal(crowded["entry_id"]), 1)
    few = (
        crowded.with_columns(pl.Series("_mix", drawn))
        .sort("_mix", "entry_id")
        .filter(pl.int_range(pl.len()).over(group) < limit)
        .drop("_mix")
    )
    return pl.concat([entries.filter(pl.len().over(group) <= limit), few])
