"""Reads CheXpert 1.0: the images and the 14 labels of each study."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from imaxray.schema import CHEXPERT, SPLIT_HINTS, conform
from imaxray.sources._shared import chexpert
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.records import SourceTables
from imaxray.sources._shared.tables import (
    check_columns,
    find_file,
    provenance,
    read_csv,
    read_header,
    relative,
    release_file,
)

_COLUMNS: Final = ("Path", "Frontal/Lateral", "AP/PA", *CHEXPERT)
_FOLDERS: Final = ("", "CheXpert-v1.0-small", "CheXpert-v1.0")
_BATCHES: Final = "CheXpert-v1.0 batch *"
"""Folders in which the full-size images are handed out; those of the train set lack ``train/``."""

_SPLITS: Final = {"train": "train", "valid": "val"}
_BY: Final = {"train": ("silver", "chexpert"), "valid": ("human", "radiologists")}
"""Origin and quality of a set's labels: the CheXpert labeler read the reports of the train set,
and the labels of the validation set are the majority of radiologists."""


class Chexpert(Source):
    """Reads train labels extracted from reports and validation labels by three radiologists.

    The small and the full-size download can both be read, the latter also in the four batches in
    which it is handed out. Their paths differ in the leading folder, which is no part of an id.
    Labels belong to a study, so all its frontal images get them. A blank label is unknown.
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
        for path in self._paths(root).values():
            check_columns(path, read_header(path), _COLUMNS)
            found.append(relative(path, root))
        return found

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        self.check(root)
        images, facts, hints, rejects, files = [], [], [], [], []
        for name, path in self._paths(root).items():
            table = read_csv(path, _COLUMNS)
            file = relative(path, root)
            files.append(release_file(path, root, self.name, table.height))
            where = {"source": self.name, "file": file}
            known, bad = chexpert.split_paths(table, "Path", **where)
            here, missing = chexpert.read_images(
                known,
                root,
                (*_FOLDERS, *_batches(root)),
                side="Frontal/Lateral",
                projection="AP/PA",
                **where,
            )
            origin, quality = _BY[name]
            labels, unknown = chexpert.study_labels(known, origin=origin, quality=quality, **where)
            hint = known.select(
                "image_id",
                pl.lit(_SPLITS[name]).alias("split"),
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

    def _paths(self, root: Path) -> dict[str, Path]:
        folders = ("", *(f"{name}/" for name in (*_FOLDERS[1:], *_batches(root))))
        return {
            name: find_file(
                root,
                [f"{folder}{name}.{end}" for folder in folders for end in ("csv", "csv.gz")],
                self.name,
            )
            for name in _SPLITS
        }


def _batches(root: Path) -> list[str]:
    """Return the names of the folders in which the full-size images are handed out."""
    return sorted(path.name for path in root.glob(_BATCHES) if path.is_dir())
