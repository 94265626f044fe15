"""Selects IMAX: few images, each with many tasks and entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

import numpy as np
import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, model_validator

from imaxray.curation.selecting.target_means import nearest_means
from imaxray.curation.tables import Tables
from imaxray.errors import ImaxrayError
from imaxray.hashing import digests, from_hexadecimal, mixed
from imaxray.schema import TaskName, task_names


def _possible(number: float) -> float:
    if number > (most := len(task_names())):
        raise ValueError(f"expected at most {most}, the number of tasks, but got {number}")
    return number


_TaskCount = Annotated[int, AfterValidator(_possible)]
TaskMean = Annotated[float, AfterValidator(_possible)]
"""Mean number of tasks per image, which is at most the number of tasks."""


class ImaxConfig(BaseModel):
    """Sets which images are image-centric and how many images and entries IMAX takes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    min_tasks: _TaskCount = Field(
        default=4, ge=1, description="Minimum number of tasks of an image."
    )
    max_entries_per_task: PositiveInt | dict[TaskName, PositiveInt] = Field(
        default=2,
        description="Maximum number of entries per task and image: one number for all tasks, or a "
        "number for each task (1 for a task without one).",
    )
    target_entries: int | None = Field(
        default=None,
        ge=1,
        description="Number of train entries at which the selection stops; default: all images.",
    )
    tasks_per_image: TaskMean | None = Field(
        default=None,
        ge=1,
        description="Mean number of tasks per image to reach; without it, the densest images are "
        "taken first. It needs target_entries and entries_per_image.",
    )
    entries_per_image: float | None = Field(
        default=None,
        ge=1,
        description="Mean number of entries per image to reach; goes with tasks_per_image.",
    )
    fill_tasks: int = Field(
        default=0,
        ge=0,
        description="Minimum number of train entries of each task; if the selected images have "
        "fewer, the densest other images with the task are added.",
    )
    eval_entries_per_task: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of entries of each task in val and in test; default: all.",
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
    """Describes what a selection of IMAX found and what it took.

    Attributes:
        eligible_images: Number of train images with at least ``min_tasks`` tasks.
        eligible_entries: Number of train entries of the eligible images after the caps.
        images: Number of train images taken.
        entries: Number of train entries taken.
        images_by_tasks: Number of images taken by their number of tasks.
        limit: Sentence that says what ended the selection.
    """

    eligible_images: int
    eligible_entries: int
    images: int
    entries: int
    images_by_tasks: Mapping[int, int]
    limit: str

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary that can be written as JSON."""
        return {
            "eligible_images": self.eligible_images,
            "eligible_entries": self.eligible_entries,
            "images": self.images,
            "entries": self.entries,
            "images_by_tasks": {str(k): n for k, n in self.images_by_tasks.items()},
            "limit": self.limit,
        }


_ORDER: Final = ("split", "task", "entry_id")

_NOTHING_TO_TRAIN: Final = SelectionReport(
    eligible_images=0, eligible_entries=0, images=0, entries=0, images_by_tasks={},
    limit="the catalog has no train entries",
)  # fmt: skip


def select_imax(catalog: Tables, config: ImaxConfig) -> tuple[Tables, SelectionReport]:
    """Select IMAX from the catalog; report what was eligible and what ended the selection.

    Train images must have at least ``min_tasks`` tasks. At most ``max_entries_per_task`` entries of
    a task are kept on each image; a hash of the entry id decides which ones. Whole images are
    taken, the densest first (by tasks, then entries, then a hash of the image id), until
    ``target_entries`` is reached. Then images are added until every task has ``fill_tasks``
    entries; without this, a release that shares no image with others would be left out completely.

    If the means ``tasks_per_image`` and ``entries_per_image`` are given, images are not taken by
    density. They are taken so that the means are met with the least change of the catalog's own
    mixture (see :mod:`imaxray.curation.selecting.target_means`).

    Validation and test keep all images, with the same cap of entries per task and image and, if it
    is set, with at most ``eval_entries_per_task`` entries of each task. All arms of a study share
    them.

    If the catalog has entries but none to train on, IMAX has the validation and test entries only.

    Raises:
        ImaxrayError: If there are no entries at all, if no train image has ``min_tasks`` tasks, or
            if the means cannot be met.
    """
    entries, report = choose_imax(catalog.entries, config)
    return subset(catalog, entries), report


def choose_imax(entries: pl.DataFrame, config: ImaxConfig) -> tuple[pl.DataFrame, SelectionReport]:
    """Select the entries of IMAX from those of the catalog, see :func:`select_imax`.

    Returns:
        The selected rows of ``entries``, in their order, and the report.
    """
    # prompts, answers and boxes decide nothing, and copies of them would fill the memory
    few = entries.select("entry_id", "image_id", "task", "split").with_row_index("_row")
    capped = _cap_tasks(few, config.max_entries_per_task)
    train = capped.filter(pl.col("split") == "train")
    held_out = _held_out(capped, config)
    if train.is_empty() and capped.height:
        return _rows(entries, held_out["_row"]), _NOTHING_TO_TRAIN
    order = _by_density(train)
    ids = _images(order, config)
    ids = _fill(train, order, ids, config.fill_tasks)
    taken = order.filter(pl.col("image_id").is_in(pl.Series(ids, dtype=pl.String).implode()))
    chosen = train.filter(pl.col("image_id").is_in(taken["image_id"].implode()))
    rows = pl.concat([chosen["_row"], held_out["_row"]])
    return _rows(entries, rows), _report(order, taken, config)


def _rows(entries: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """Return the given rows in the order of ``entries``."""
    mask = np.zeros(entries.height, dtype=np.bool_)
    mask[rows.to_numpy()] = True
    return entries.filter(pl.Series(mask))


def _held_out(capped: pl.DataFrame, config: ImaxConfig) -> pl.DataFrame:
    """Return the validation and test entries that all arms share."""
    held_out = capped.filter(pl.col("split") != "train")
    if config.eval_entries_per_task is None:
        return held_out
    return _cap(held_out, ["split", "task"], config.eval_entries_per_task)


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
    """Return the images with their numbers of tasks and entries, the densest first."""
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
    """Add images, densest first, until every task has ``least`` entries or all it can have."""
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
    """Reduce the catalog to ``entries``, their images and the annotations of those images."""
    ids = entries["image_id"].unique()
    # Annotations are grouped by image, so membership is tested once per image.
    runs = catalog.annotations["image_id"].rle().struct.unnest()
    mask = np.repeat(runs["value"].is_in(ids.implode()).to_numpy(), runs["len"].to_numpy())
    return replace(
        catalog,
        images=catalog.images.filter(pl.col("image_id").is_in(ids.implode())),
        annotations=catalog.annotations.filter(pl.Series(mask, dtype=pl.Boolean)),
        entries=_sorted(entries),
    )


def _sorted(entries: pl.DataFrame) -> pl.DataFrame:
    """Sort by split, task and id; entries that are sorted already are not copied."""
    rising = pl.lit(False)
    for name in reversed(_ORDER):
        before = pl.col(name).shift()
        rising = (pl.col(name) > before) | ((pl.col(name) == before) & rising)
    return entries if entries.select(rising.slice(1).all()).item() else entries.sort(_ORDER)


def _cap_tasks(entries: pl.DataFrame, limit: int | Mapping[TaskName, int]) -> pl.DataFrame:
    """Keep at most ``limit`` entries of each task on each image."""
    if isinstance(limit, int):
        return _cap(entries, ["image_id", "task"], limit)
    parts = [
        _cap(entries.filter(pl.col("task") == task), ["image_id"], limit.get(task, 1))
        for task in task_names()
    ]
    return pl.concat(parts)


def _cap(entries: pl.DataFrame, group: list[str], limit: int) -> pl.DataFrame:
    """Keep at most ``limit`` entries per group; a hash of the entry ids decides which ones."""
    crowded = entries.filter(pl.len().over(group) > limit)
    if crowded.is_empty():
        return entries
    # The id is hashed again, because its own digits already decide the wording of the prompt.
    drawn = mixed(from_hexadecimal(crowded["entry_id"]), 1)
    few = (
        crowded.with_columns(pl.Series("_mix", drawn))
        .sort("_mix", "entry_id")
        .filter(pl.int_range(pl.len()).over(group) < limit)
        .drop("_mix")
    )
    return pl.concat([entries.filter(pl.len().over(group) <= limit), few])
