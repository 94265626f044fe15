"""Writes what of a dataset may leave the institution: ids, splits and manifest, without content.

Another researcher with the same releases can rebuild the dataset from it, and a reviewer can check
splits and counts. Reports, questions, answers, boxes and pixels stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._common.files import sha256, write_csv
from imaxray._common.folders import whole_folder
from imaxray._common.state import write_state
from imaxray._version import __version__
from imaxray.curation import Dataset, open_dataset
from imaxray.hashing import digest
from imaxray.sources import published_sources

SHARE: Final = "share.json"
"""Name of the manifest of a shared folder."""

DATASET_MANIFEST: Final = "dataset-manifest.json"
"""Name of the copy of the dataset's manifest, from which `imaxray rebuild` builds it again."""

LEFT_OUT: Final[Mapping[str, str]] = {
    "pixels": "images, and their file names",
    "text": "reports, prompts, targets, answers and messages of rejected rows",
    "boxes": "coordinates of all boxes",
    "persons": "age, sex and study ids",
    "paths": "folders of releases, and absolute paths in settings",
    "marks": "marks of a user, and the ids of marks that name nothing of the releases",
}
"""What a shared folder never holds."""

_IMAGES: Final = ("image_id", "patient_id", "split", "view", "source", "width", "height")
_ENTRIES: Final = (
    "entry_id", "image_id", "patient_id", "split", "task", "template", "quality", "sources",
)  # fmt: skip
_ID_COLUMNS: Final = ("image_id", "patient_id", "entry_id")
_PATH: Final = "[path left out]"


@dataclass(frozen=True)
class ShareReport:
    """Reports what a shared folder holds.

    Attributes:
        folder: The folder.
        counts: Number of rows of each table.
        numbered: Releases whose ids were replaced by numbers, since they are no published releases
            and their ids could name people.
        left_out: What was left out, by a short name.
        files: SHA-256 of each file, by its path in the folder.
    """

    folder: Path
    counts: Mapping[str, int]
    numbered: tuple[str, ...]
    left_out: Mapping[str, str]
    files: Mapping[str, str]


def share_dataset(dataset: Dataset | Path, out: Path) -> ShareReport:
    """Write the manifest, ids and splits of a dataset, without text, pixels, boxes and answers.

    The folder holds ``images.csv``, ``entries.csv``, ``dataset-manifest.json`` (the settings and
    the digests of the releases, from which the dataset can be rebuilt) and ``share.json`` (counts,
    what was left out, sha256 of each file). Ids of published releases are kept, because only with
    them the dataset can be compared. Ids of other releases, such as a hospital's own table, could
    name people and are replaced by numbers. The same dataset gives the same bytes.

    Args:
        dataset: Opened dataset, or its folder.
        out: Folder to write; an earlier shared folder there is replaced.

    Raises:
        ImaxrayError: If the dataset cannot be opened, or ``out`` holds anything else.

    Example:
        >>> from imaxray import share_dataset
        >>> sorted(share_dataset.__annotations__)
        ['dataset', 'out', 'return']
    """
    data = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    known = published_sources()
    images, entries = data.tables.images, data.tables.entries
    numbered = tuple(sorted({name for name in images["source"].unique() if name not in known}))
    entries = entries.sort("split", "task", "entry_id").select(_ENTRIES)
    entries = entries.with_columns(pl.col("sources").list.join(" "))
    images = images.sort("image_id").select(_IMAGES)
    if numbered:
        images, entries = _number(images, entries, numbered)
    with whole_folder(
        out, manifest=SHARE, keys=("imaxray", "shared", "files"), what="shared dataset"
    ) as folder:
        for name, table in (("images.csv", images), ("entries.csv", entries)):
            write_csv(folder / name, table)
        paths: list[str] = []
        manifest = _without_paths(_without_ids(data.manifest), paths)
        write_state(folder / DATASET_MANIFEST, manifest, sort_keys=True)
        files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}
        counts = {"images": images.height, "entries": entries.height}
        content = {
            "imaxray": __version__,
            "shared": {"role": data.manifest.get("role"), "sha256": data.sha256},
            "counts": counts,
            "numbered": list(numbered),
            "left_out": {**LEFT_OUT, "paths_in_settings": len(paths)},
            "files": files,
        }
        write_state(folder / SHARE, content, sort_keys=True)
    return ShareReport(out, counts, numbered, LEFT_OUT, files)


def _number(
    images: pl.DataFrame, entries: pl.DataFrame, sources: tuple[str, ...]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Replace the ids of images of these releases, of their patients and of their entries."""
    own = images.filter(pl.col("source").is_in(sources))
    replaced = {
        "image_id": _numbers(own["image_id"], "image"),
        "patient_id": _numbers(own["patient_id"], "patient"),
        "entry_id": _numbers(
            entries.filter(pl.col("image_id").is_in(own["image_id"].implode()))["entry_id"], "entry"
        ),
    }

    def apply(table: pl.DataFrame) -> pl.DataFrame:
        return table.with_columns(
            pl.col(column).replace(replaced[column])
            for column in _ID_COLUMNS
            if column in table.columns
        )

    return apply(images), apply(entries)


def _numbers(ids: pl.Series, what: str) -> dict[str, str]:
    # sorted by hash, because the order of the ids may follow dates or names
    ordered = sorted(set(ids.drop_nulls()), key=lambda one: (digest(one), one))
    return {one: f"{what}-{number:07d}" for number, one in enumerate(ordered, start=1)}


def _without_ids(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest without the ids of marks that name nothing: nobody knows whose they are."""
    decisions = dict(manifest.get("decisions", {}))
    if "marks" not in decisions:
        return dict(manifest)
    marks = {k: v for k, v in decisions["marks"].items() if k != "unmatched_images"}
    return {**manifest, "decisions": {**decisions, "marks": marks}}


def _without_paths(value: Any, found: list[str]) -> Any:
    """Return a copy of a JSON value without absolute paths; collect those that were left out."""
    if isinstance(value, Mapping):
        return {key: _without_paths(inner, found) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(inner, found) for inner in value]
    if isinstance(value, str) and _is_absolute(value):
        found.append(value)
        return _PATH
    return value


def _is_absolute(text: str) -> bool:
    windows = len(text) > 2 and text[0].isalpha() and text[1] == ":" and text[2] in "\\/"
    return text.startswith(("/", "~/", "\\\\")) or windows
