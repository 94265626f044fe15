"""IMAX: few images, each with many tasks and entries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from imaxray.curation.tables import Tables
from imaxray.errors import ImaxrayError
from imaxray.schema import TASKS, TaskName


class ImaxConfig(BaseModel):
    """What makes an image image-centric, and how much of it to take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_tasks: int = Field(4, ge=1, le=7, description="tasks an image must have")
    max_entries_per_task: PositiveInt | dict[TaskName, PositiveInt] = Field(
        2, description="entries of one task on one image: one number, or one a task (others: 1)"
    )
    target_entries: int | None = Field(
        None, ge=1, description="stop taking images once so many train entries are in; none: all"
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


def select_imax(catalog: Tables, config: ImaxConfig) -> Tables:
    """Select IMAX from the catalog.

    Train: images with at least ``min_tasks`` tasks, at most ``max_entries_per_task`` entries of a
    task on each (drawn by a hash of the entry id), densest images first (tasks, then entries, then
    a hash of the id), whole images, until ``target_entries`` is reached; then ``fill_tasks``, for
    releases that share no image with others and would be left out wholly. Validation and test:
    all images, capped alike; every arm of a study shares them.

    Raises:
        ImaxrayError: no image has so many tasks.
    """
    capped = _cap_tasks(catalog.entries, config.max_entries_per_task)
    train = capped.filter(pl.col("split") == "train")
    density = train.group_by("image_id").agg(
        pl.col("task").n_unique().alias("tasks"), pl.len().alias("entries")
    )
    order = density.with_columns(
        pl.Series("mix", [_mix(i) for i in density["image_id"]], dtype=pl.String)
    ).sort("tasks", "entries", "mix", descending=[True, True, False])
    ranked = order.filter(pl.col("tasks") >= config.min_tasks)
    if ranked.is_empty():
        raise ImaxrayError(
            f"Expected training images with at least {config.min_tasks} tasks, but no image has so "
            "many; lower min_tasks or add releases about the same images."
        )
    if config.target_entries is not None:
        before = pl.col("entries").cum_sum() - pl.col("entries")
        ranked = ranked.filter(before < config.target_entries)
    ids = _fill(train, order, ranked["image_id"].to_list(), config.fill_tasks)
    chosen = train.filter(pl.col("image_id").is_in(ids))
    held_out = capped.filter(pl.col("split") != "train")
    if config.eval_entries_per_task is not None:
        held_out = _cap(held_out, ["split", "task"], config.eval_entries_per_task)
    return subset(catalog, pl.concat([chosen, held_out]))


def _fill(train: pl.DataFrame, order: pl.DataFrame, chosen: list[str], least: int) -> list[str]:
    """Add images, densest first, until every task has ``least`` entries or no more to give."""
    ids = list(chosen)
    for task in TASKS if least else ():
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
    ids = entries.select("image_id").unique()
    return replace(
        catalog,
        images=catalog.images.join(ids, on="image_id", how="semi", maintain_order="left"),
        annotations=catalog.annotations.join(ids, on="image_id", how="semi", maintain_order="left"),
        entries=entries.sort("split", "task", "entry_id"),
    )


def _cap_tasks(entries: pl.DataFrame, limit: int | Mapping[TaskName, int]) -> pl.DataFrame:
    """At most so many entries of a task on one image."""
    if isinstance(limit, int):
        return _cap(entries, ["image_id", "task"], limit)
    parts = [
        _cap(entries.filter(pl.col("task") == task), ["image_id"], limit.get(task, 1))
        for task in TASKS
    ]
    return pl.concat(parts)


def _cap(entries: pl.DataFrame, group: list[str], limit: int) -> pl.DataFrame:
    """At most ``limit`` entries a group; which ones is a matter of the (hashed) entry ids."""
    mixed = entries.with_columns(
        pl.col("entry_id").str.split("-").list.last().str.reverse().alias("_mix")
    ).sort("_mix", "entry_id")
    return mixed.filter(pl.int_range(pl.len()).over(group) < limit).drop("_mix")


def _mix(image_id: str) -> str:
    return hashlib.blake2b(image_id.encode(), digest_size=8).hexdigest()
