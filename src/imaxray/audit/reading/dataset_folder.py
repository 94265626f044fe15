"""Reads a dataset folder of this toolkit, or its Croissant export, into an :class:`AuditInput`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from imaxray._common.files import read_parquet
from imaxray.audit.audit_input import (
    BOX_LISTS,
    FILES,
    LABELS,
    NO_SPLIT,
    PLACES,
    AuditInput,
    conform_rows,
)
from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.curation import Tables, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.schema import ANNOTATIONS, ENTRIES, IMAGES, SPLITS, conform
from imaxray.sources import find_image, is_inside
from imaxray.tasks import require_tasks

_CROISSANT: Final = "croissant.json"
_IMAGES: Final = "images.parquet"
_ANNOTATIONS: Final = "annotations.parquet"
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
    roots = dataset.tables.roots if images is None else _roots_below(images, dataset.tables.images)
    return _audit_input(
        folder, dataset.tables, roots, perceptual=perceptual, workers=workers,
        clinical=dataset.clinical if clinical is None else clinical,
    )  # fmt: skip


def is_croissant(folder: Path) -> bool:
    """Return whether a folder is a Croissant export of imaxray."""
    return all((folder / name).is_file() for name in (_CROISSANT, _IMAGES, _ANNOTATIONS))


def read_croissant(
    folder: Path,
    images: Path | None,
    *,
    perceptual: bool,
    workers: int,
    clinical: ClinicalRules | None = None,
) -> AuditInput:
    """Read a Croissant export of imaxray, which holds tables and no images.

    Args:
        folder: Folder of the export.
        images: Folder of the images, see :func:`read_folder`; without it, nothing is said about
            image files.
        perceptual: Whether near duplicates are searched.
        workers: Number of processes that decode images.
        clinical: Clinical rules that define a contradiction; by default the built-in ones.

    Raises:
        ImaxrayError: A table is damaged or lacks a column.
    """
    entries = [folder / "entries" / f"{split}.parquet" for split in SPLITS]
    try:
        image_table = _read(folder / _IMAGES, IMAGES)
        annotations = _read(folder / _ANNOTATIONS, ANNOTATIONS)
        of_splits = [_read(path, ENTRIES) for path in entries if path.is_file()]
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ImaxrayError(
            f"Expected the tables of a Croissant export in {folder}, but one is missing or "
            "damaged; export the dataset again."
        ) from error
    tables = Tables(image_table, annotations, pl.concat([ENTRIES.to_frame(), *of_splits]))
    roots = None if images is None else _roots_below(images, image_table)
    return _audit_input(
        folder, tables, roots, perceptual=perceptual, workers=workers,
        clinical=DEFAULT_RULES if clinical is None else clinical,
    )  # fmt: skip


def _read(path: Path, schema: pl.Schema) -> pl.DataFrame:
    return read_parquet(path).select(schema.names()).cast(schema)


def _audit_input(
    folder: Path,
    tables: Tables,
    roots: Mapping[str, Path] | None,
    *,
    perceptual: bool,
    workers: int,
    clinical: ClinicalRules,
) -> AuditInput:
    require_tasks(tables.entries["task"], folder)
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
        clinical=clinical,
    )  # fmt: skip


def _files(images: pl.DataFrame, roots: Mapping[str, Path] | None) -> pl.DataFrame:
    rows = []
    for image, source, path, width, height in images.select(
        "image_id", "source", "path", "width", "height"
    ).iter_rows():
        problem = file = None
        if path is None or not is_inside(path):
            problem = "the path leads out of the release folder"
        elif roots is None:
            pass  # the images are not on this machine
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
