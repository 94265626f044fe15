"""Reads CheXpert 1.0: the images and the 14 labels of each study."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from imaxray.schema import CHEXPERT, SPLIT_HINTS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections import chexpert
from imaxray.sources._shared.files.columns import provenance, reject
from imaxray.sources._shared.files.paths import (
    find_file,
    relative,
    release_file,
    require_root,
)
from imaxray.sources._shared.files.tables import check_columns, read_csv, read_header
from imaxray.sources._shared.records import SourceTables

_ENDINGS: Final = (".csv", ".csv.gz")
_SIDE: Final = "Frontal/Lateral"
_PROJECTION: Final = "AP/PA"
_COLUMNS: Final = ("Path", _SIDE, _PROJECTION, *CHEXPERT)
_FOLDERS: Final = ("", "CheXpert-v1.0-small", "CheXpert-v1.0", "CheXpert")
_TABLES: Final = {
    "train": ("train",),
    "valid": ("valid", "val_labels"),
    "test": ("test_labels",),
    "studies": ("groundtruth",),
}
"""Names of the tables without their ending. Both of the last two are about the test set: the table
of CheXlocalize lists its images, and that of the authors' repository its studies."""

_HEADERS: Final = {
    "train": _COLUMNS,
    "valid": _COLUMNS,
    "test": ("Path", *CHEXPERT),
    "studies": ("Study", *CHEXPERT),
}
_SPLITS: Final = {"train": "train", "valid": "val", "test": "test"}
_BY: Final = {
    "train": ("silver", "chexpert"),
    "valid": ("human", "radiologists"),
    "test": ("human", "radiologists"),
}
"""Origin and quality of a set's labels: the CheXpert labeler read the reports of the train set,
and the labels of the other sets are the majority of radiologists."""


class Chexpert(Source):
    """Reads train labels extracted from reports, and validation and test labels by radiologists.

    The small and the full-size download can both be read, the latter also as the four batches that
    it is handed out in. Their paths differ in the leading folder, which is no part of an id. Labels
    belong to a study, so all its frontal images get them. A blank label is unknown.

    The labels of the test set were published later, in two forms: ``test_labels.csv`` lists images
    and ``groundtruth.csv`` studies. Both state the same; the first is read if both exist. A copy
    with the test set alone is read as well.
    """

    name = "chexpert"
    title = "CheXpert"
    version = "1.0"
    collection = chexpert.COLLECTION
    tasks = ("findings",)
    access = "registration"
    licence = "Stanford University Dataset Research Use Agreement"
    citation = "Irvin et al., AAAI 2019, arXiv:1901.07031"
    url = "https://stanfordmlgroup.github.io/competitions/chexpert/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        found = []
        for name, path in self._paths(root).items():
            check_columns(path, read_header(path), _HEADERS[name])
            found.append(relative(path, root))
        return found

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        self.check(root)
        images, facts, hints, rejects, files = [], [], [], [], []
        for name, path in self._paths(root).items():
            table = read_csv(path, _HEADERS[name])
            file = relative(path, root)
            files.append(release_file(path, root, self.name, table.height))
            where = {"source": self.name, "file": file}
            split = "test" if name == "studies" else name
            if name == "studies":
                known, bad = chexpert.split_studies(table, "Study", **where)
                rows = chexpert.images_of_studies(known, root, _FOLDERS, split)
                lost = known.join(rows, on="study_id", how="anti", maintain_order="left")
                bad = pl.concat([bad, reject(
                    lost, **where, key="study_id", code="missing-image",
                    message="the study has no image in this copy",
                )])  # fmt: skip
            else:
                known, bad = chexpert.split_paths(table, "Path", **where)
                rows = known
            if split == "test":
                rows = rows.with_columns(
                    pl.col("image_id").str.extract("(frontal|lateral)$").alias(_SIDE),
                    pl.lit("FRONTAL").alias(_PROJECTION),
                )
            here, missing = chexpert.read_images(
                rows, root, _FOLDERS, side=_SIDE, projection=_PROJECTION, **where
            )
            origin, quality = _BY[split]
            labels, unknown = chexpert.study_labels(known, origin=origin, quality=quality, **where)
            hint = known.select(
                "study_id" if name == "studies" else "image_id",
                pl.lit(_SPLITS[split]).alias("split"),
                *provenance(self.name, file),
            )
            images.append(here)
            facts.append(labels)
            hints.append(conform(hint, SPLIT_HINTS))
            rejects += [bad, missing, unknown]
        return SourceTables(
            images=pl.concat(images),
            annotations=pl.concat(facts),
            hints=pl.concat(hints),
            rejects=pl.concat(rejects),
            files=tuple(files),
        )

    def remarks(self, root: Path) -> list[str]:
        """Name the form of the test labels that is not read."""
        if {"test", "studies"} <= self._found(root).keys():
            return ["Not read, because test_labels.csv lists the images too: groundtruth.csv."]
        return []

    def _paths(self, root: Path) -> dict[str, Path]:
        found = self._found(root)
        if "test" in found:
            found.pop("studies", None)
        if "train" not in found and "valid" not in found and found:
            return found  # a copy with the test set alone
        for name in ("train", "valid"):
            if name not in found:
                find_file(root, (f"{name}.csv", f"{name}.csv.gz"), self.name)  # raises the error
        return found

    def _found(self, root: Path) -> dict[str, Path]:
        require_root(root, self.name)
        places = (*_FOLDERS, *chexpert.batch_folders(root))
        found = {}
        for name, stems in _TABLES.items():
            paths = (root / p / f"{s}{e}" for p in places for s in stems for e in _ENDINGS)
            path = next((path for path in paths if path.is_file()), None)
            if path is not None:
                found[name] = path
        return found
