"""Defines the common form of dataset folders and foreign files that every check reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray import radiograph
from imaxray._common.plugins import running
from imaxray.audit.pixels import PixelDigests, embedded_file
from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.errors import ImaxrayError
from imaxray.schema import SPLITS, Boxes
from imaxray.tasks import Question, Statement, from_json, get_task

NO_SPLIT: Final = "-"
"""Split of a record, image or annotation that states no split."""

PLACES: Final = pl.Schema(
    {
        "image_id": pl.String,
        "patient_id": pl.String,  # null if not known
        "source": pl.String,  # null if not known
        "split": pl.String,
    }
)
"""Patient, source and split of each image; one row per combination that any table states."""

FILES: Final = pl.Schema({"image_id": pl.String, "file": pl.String, "place": pl.Int64,
                          "problem": pl.String, "width": pl.Int64, "height": pl.Int64})  # fmt: skip
"""Path of each image file, or why there is none, and the stated size of the image in pixels.

``place`` is set for an image that a Parquet file holds. An image with neither a file nor a problem
is not on this machine."""

BOX_LISTS: Final = pl.Schema(
    {
        "split": pl.String,
        "id": pl.String,
        "image_id": pl.String,
        "boxes": Boxes,
        "unit": pl.Boolean,  # true if coordinates are in the unit square, not in pixels
    }
)
"""Boxes of each entry or annotation, as ``[x1, y1, x2, y2]``."""

LABELS: Final = pl.Schema({"image_id": pl.String, "name": pl.String, "value": pl.Float64})
"""Labels that annotations state: 1 yes, 0 no, -1 uncertain; one row per image and label."""


@dataclass(frozen=True, order=True)
class AuditIssue:
    """A fault that a check found; it contains ids and label names, but no text of the data.

    Attributes:
        code: Code of the check.
        split: ``train``, ``val`` or ``test``; several splits are joined by ``+``; ``-`` if no split
            is stated.
        id: Id of the entry, image, patient or record.
        message: Description of the fault.
    """

    code: str
    split: str
    id: str
    message: str


@dataclass(frozen=True)
class AuditInput:
    """A dataset in the form that checks read.

    Attributes:
        title: Name of the folder or of the files.
        entries: Entries (schema ENTRIES). In foreign files, ``answer`` is null if the target could
            not be read.
        places: Patient, source and split of each image (schema PLACES).
        files: Image files (schema FILES), one row per image.
        boxes: Boxes of entries and annotations (schema BOX_LISTS).
        labels: Labels of images (schema LABELS).
        image_table: Images (schema IMAGES), with which entries must agree; ``None`` for foreign
            files.
        bad: Records that could not be read.
        perceptual: Whether near duplicates are searched, which needs perceptual hashes.
        workers: Number of processes that decode images.
        clinical: Clinical rules that define a contradiction.
        contexts: Entry → what its question refers to besides its image: further images, or an
            earlier turn. Equal questions with different contexts are different questions.
        unsure_patients: Number of images whose patient no record states, and whose path names at
            most a study.
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
    contexts: Mapping[str, str] = field(default_factory=dict)
    unsure_patients: int = 0

    @cached_property
    def pixels(self) -> PixelDigests:
        """Return the digests of all images; the first call decodes the images."""
        return PixelDigests(self.files, perceptual=self.perceptual, workers=self.workers)

    @cached_property
    def statements(self) -> list[tuple[str, str, str, list[Statement]]]:
        """Return id, split, image and certain statements of each entry whose answer states some.

        Entries of images without a label are left out, because no label can contradict them.
        """
        found = []
        labelled = pl.col("image_id").is_in(self.labels["image_id"].unique().implode())
        rows = self.entries.filter(pl.col("answer").is_not_null() & labelled)
        for row in rows.iter_rows(named=True):
            task, gold = get_task(row["task"]), from_json(row["answer"])
            with running(task.plugin, "certain_statements"):
                said = list(task.certain_statements(Question.of(row), gold))
            if said:
                found.append((row["entry_id"], row["split"], row["image_id"], said))
        return found

    @cached_property
    def splits_of(self) -> dict[str, list[str]]:
        """Return the splits of each image: train, val, test, then others by name."""
        stated = self.places.group_by("image_id").agg(pl.col("split").unique())
        return {image: in_order(splits) for image, splits in stated.iter_rows()}

    @cached_property
    def frame_sizes(self) -> dict[str, tuple[float, float]]:
        """Return width and height in pixels of images with boxes, from the table or the header."""
        boxed = self.boxes.filter(pl.col("boxes").list.len() > 0).select("image_id").unique()
        sizes: dict[str, tuple[float, float]] = {}
        for row in self.files.join(boxed, on="image_id", how="semi").iter_rows(named=True):
            if row["width"] is not None and row["height"] is not None:
                sizes[row["image_id"]] = (float(row["width"]), float(row["height"]))
            elif row["file"] is not None:
                try:
                    sizes[row["image_id"]] = _size(Path(row["file"]), row["place"])
                except ImaxrayError:
                    continue  # the check broken-image reports the file
        return sizes

    @property
    def splits(self) -> list[str]:
        """Return all splits of the dataset, in order."""
        return in_order(self.places["split"].unique())


def _size(file: Path, place: int | None) -> tuple[int, int]:
    if place is None:
        return radiograph.size(file)
    with embedded_file(file, place) as path:
        return radiograph.size(path)


def in_order(splits: Iterable[str]) -> list[str]:
    """Return the distinct splits: train, val, test, then others by name."""
    known: dict[str, int] = {split: number for number, split in enumerate(SPLITS)}
    return sorted(set(splits), key=lambda split: (known.get(split, len(known)), split))


def joined(splits: Iterable[str]) -> str:
    """Return splits as one text, e.g. ``train+test``."""
    return "+".join(in_order(splits)) or NO_SPLIT


def conform_rows(rows: Sequence[Sequence[Any]], schema: pl.Schema) -> pl.DataFrame:
    """Return rows as a table with exactly this schema."""
    return pl.DataFrame(rows, schema=schema, orient="row")
