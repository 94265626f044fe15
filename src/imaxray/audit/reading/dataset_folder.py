"""Reads a dataset folder of this toolkit into an :class:`AuditInput`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from imaxray.audit.audit_input import (
    BOX_LISTS,
    FILES,
    LABELS,
    NO_SPLIT,
    PLACES,
    AuditInput,
    conform_rows,
)
from imaxray.clinical import ClinicalRules
from imaxray.curation import open_dataset
from imaxray.schema import conform
from imaxray.sources import find_image, is_inside
from imaxray.tasks import require_tasks

_UNKNOWN: Final = "the folder of its release is not known; pass it with --images"


def read_folder(
    folder: Path,
    images: Path | None,
    *,
    perceptual: bool,
    workers: int,
    clinical: ClinicalRules | None = None,
) -> AuditInput:
    """Read a dataset folder.

    Args:
        folder: Dataset folder, as ``write_dataset`` writes it.
        images: Folder of the images, used instead of the releases that the dataset names; it
            contains one folder per source, or the files themselves.
        perceptual: Whether near duplicates are searched.
        workers: Number of processes that decode images.
        clinical: Clinical rules that define a contradiction; by default those with which the
            dataset was built.
    """
    dataset = open_dataset(folder)
    tables = dataset.tables
    require_tasks(tables.entries["task"], folder)
    roots = tables.roots if images is None else _roots_below(images, tables.images)
    split = pl.col("split").fill_null(NO_SPLIT)
    stated = tables.images.select("image_id", "patient_id", pl.col("source").cast(pl.String), split)
    by_entries = tables.entries.select(
        "image_id", "patient_id", pl.col("sources").alias("source"), split
    ).explode("source")
    regions = tables.annotations.filter(pl.col("boxes").list.len() > 0)
    of_split = tables.images.select("image_id", split)
    labels = tables.annotations.filter(
        pl.col("kind") == "label", pl.col("value").is_not_null()
    ).sort("origin", maintain_order=True)
    return AuditInput(
        title=folder.resolve().name,
        entries=tables.entries.with_columns(split),
        places=conform(pl.concat([stated, by_entries]).unique().sort(pl.all()), PLACES),
        files=_files(tables.images, roots),
        boxes=conform(
            pl.concat([
                tables.entries.select(
                    split, pl.col("entry_id").alias("id"), "image_id", "boxes",
                    pl.lit(False).alias("unit"),
                ),
                regions.join(of_split, on="image_id", how="left", maintain_order="left").select(
                    pl.col("split").fill_null(NO_SPLIT),
                    # annotations have no id, so file and row identify them
                    pl.concat_str(
                        pl.col("source").cast(pl.String), pl.lit(":"),
                        pl.col("file").cast(pl.String), pl.lit(":"), pl.col("row"),
                        ignore_nulls=True,
                    ).alias("id"),
                    "image_id", "boxes", pl.lit(False).alias("unit"),
                ),
            ]),
            BOX_LISTS,
        ),
        # the strongest of several statements counts, as in the tasks
        labels=conform(
            labels.select("image_id", pl.col("name").cast(pl.String), "value").unique(
                ["image_id", "name"], keep="first", maintain_order=True
            ),
            LABELS,
        ),
        image_table=tables.images,
        perceptual=perceptual,
        workers=workers,
        clinical=dataset.clinical if clinical is None else clinical,
    )  # fmt: skip


def _files(images: pl.DataFrame, roots: Mapping[str, Path]) -> pl.DataFrame:
    rows = []
    for image, source, path, width, height in images.select(
        "image_id", "source", "path", "width", "height"
    ).iter_rows():
        problem = file = None
        if path is None or not is_inside(path):
            problem = "the path leads out of the release folder"
        elif source not in roots:
            problem = _UNKNOWN
        elif (found := find_image(roots[source], path)) is None:
            problem = "the path leaves the release folder"
        else:
            file = str(found)
        rows.append((image, file, None, problem, width, height))
    return conform_rows(rows, FILES).unique("image_id", keep="first", maintain_order=True)


def _roots_below(images: Path, table: pl.DataFrame) -> dict[str, Path]:
    sources = table["source"].cast(pl.String).drop_nulls().unique().to_list()
    return {name: images / name if (images / name).is_dir() else images for name in sources}
