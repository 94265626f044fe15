"""What every check looks at: one form for dataset folders and for foreign files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray import radiograph
from imaxray.audit.pixel_digests import PixelDigests
from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.errors import ImaxrayError
from imaxray.schema import SPLITS, Boxes

NO_SPLIT: Final = "-"
"""Split of what says none."""

PLACES: Final = pl.Schema(
    {
        "image_id": pl.String,
        "patient_id": pl.String,  # null: not known
        "source": pl.String,  # null: not known
        "split": pl.String,
    }
)
"""Where an image stands: one row a combination that any table states."""

FILES: Final = pl.Schema({"image_id": pl.String, "file": pl.String, "problem": pl.String,
                          "width": pl.Int64, "height": pl.Int64})  # fmt: skip
"""Where an image lies on this machine (or why nowhere), and its size by its table, in pixels."""

BOX_LISTS: Final = pl.Schema(
    {
        "split": pl.String,
        "id": pl.String,
        "image_id": pl.String,
        "boxes": Boxes,
        "unit": pl.Boolean,  # coordinates in the unit square, not in pixels
    }
)
"""Boxes of one entry or annotation, as ``[x1, y1, x2, y2]``."""

LABELS: Final = pl.Schema({"image_id": pl.String, "name": pl.String, "value": pl.Float64})
"""What an image's annotations say of a label: 1 yes, 0 no, -1 uncertain. One row each."""


@dataclass(frozen=True, order=True)
class AuditIssue:
    """One fault: which check found it, where, and what it is; ids and label names, never text.

    Attributes:
        code: the check's.
        split: ``train``, ``val`` or ``test``; several joined by ``+``; ``-`` where none is stated.
        id: of the entry, image, patient or record.
        message: what is wrong.
    """

    code: str
    split: str
    id: str
    message: str


@dataclass(frozen=True)
class AuditInput:
    """A dataset in the form that checks read.

    Attributes:
        title: name of the folder or of the files.
        entries: schema ENTRIES. Of foreign files, ``answer`` is null where the target of a known
            task could not be read.
        places: schema PLACES.
        files: schema FILES, one row an image.
        boxes: schema BOX_LISTS.
        labels: schema LABELS.
        image_table: schema IMAGES, which entries must agree with; null where there is none.
        bad: records that could not be read.
        perceptual: whether near duplicates will be asked for.
        workers: processes that decode images.
        clinical: the clinical rules that tell what a contradiction is.
    """

    title: str
    entries: pl.DataFrame
    places: pl.DataFrame
    files: pl.DataFrame
    boxes: pl.DataFrame
    labels: pl.DataFrame
    image_table: pl.DataFrame | None = None
    bad: Sequence[AuditIssue] = ()
    perceptual: bool = True
    workers: int = 1
    clinical: ClinicalRules = DEFAULT_RULES

    @cached_property
    def pixels(self) -> PixelDigests:
        """Digests of all images; the first use decodes them."""
        return PixelDigests(self.files, perceptual=self.perceptual, workers=self.workers)

    @cached_property
    def splits_of(self) -> dict[str, list[str]]:
        """Splits of each image, in their order."""
        stated = self.places.group_by("image_id").agg(pl.col("split").unique())
        return {image: in_order(splits) for image, splits in stated.iter_rows()}

    @cached_property
    def frame_sizes(self) -> dict[str, tuple[float, float]]:
        """Width and height, in pixels, of images with boxes: by the table, else by the header."""
        boxed = self.boxes.filter(pl.col("boxes").list.len() > 0).select("image_id").unique()
        sizes: dict[str, tuple[float, float]] = {}
        for row in self.files.join(boxed, on="image_id", how="semi").iter_rows(named=True):
            if row["width"] is not None and row["height"] is not None:
                sizes[row["image_id"]] = (float(row["width"]), float(row["height"]))
            elif row["file"] is not None:
                try:
                    sizes[row["image_id"]] = radiograph.size(Path(row["file"]))
                except ImaxrayError:
                    continue  # the check of images says so
        return sizes

    @property
    def splits(self) -> list[str]:
        """All splits that something is in."""
        return in_order(self.places["split"].unique())


def in_order(splits: Iterable[str]) -> list[str]:
    """Distinct splits: train, val, test, then others by name."""
    known: dict[str, int] = {split: number for number, split in enumerate(SPLITS)}
    return sorted(set(splits), key=lambda split: (known.get(split, len(known)), split))


def joined(splits: Iterable[str]) -> str:
    """Splits as one text, e.g. ``train+test``."""
    return "+".join(in_order(splits)) or NO_SPLIT


def conform_rows(rows: Sequence[Sequence[Any]], schema: pl.Schema) -> pl.DataFrame:
    """Rows as a frame of exactly ``schema``."""
    return pl.DataFrame(rows, schema=schema, orient="row")
