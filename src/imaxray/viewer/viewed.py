"""Opens a dataset for viewing: its index in memory, and the rows of one image from its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from imaxray._common.files import query_parquet
from imaxray.curation.dataset import content_digest, read_manifest
from imaxray.errors import ImaxrayError
from imaxray.schema import ANNOTATIONS, CONFLICTS, ENTRIES, IMAGES, REJECTS, SPLITS
from imaxray.sources import find_image
from imaxray.viewer.finding.index import ImageIndex, index_images
from imaxray.viewer.finding.kept import keep_summary, kept_summary
from imaxray.viewer.finding.query import Finder
from imaxray.viewer.finding.rows import KeyedRows
from imaxray.viewer.finding.summary import Summary, summarise, without_facts
from imaxray.viewer.opening.subject import Subject

if TYPE_CHECKING:
    from imaxray.viewer.answers import Judged


LARGE: Final = 20_000  # images; smaller datasets are summarised at once
_MANY: Final = 20_000  # answers; fewer are read in a second


class MissingError(ImaxrayError):
    """Says that something that an address names does not exist."""


@dataclass(frozen=True)
class ViewedDataset:
    """A dataset folder whose images can be searched and looked at one by one.

    Attributes:
        name: Name in the viewer.
        folder: Dataset folder.
        manifest: Its manifest.
        roots: Folder of each release on this machine.
        index: One row per image.
        finder: Search over the index.
        judged: Answers of arms; None if there are none.
        candidates: Pseudo annotations, accepted or not (schema PSEUDO); None if there are none.
        summary: Its summary, if the dataset is not whole but this is known.
        whole: Whether the tables were read; if not, the index only has what the table of images
            states, and there are no answers and no pseudo annotations yet.
    """

    name: str
    folder: Path
    manifest: Mapping[str, Any]
    roots: Mapping[str, Path]
    index: ImageIndex
    finder: Finder
    judged: Judged | None = None
    candidates: pl.DataFrame | None = None
    summary: Summary | None = None
    whole: bool = True

    @cached_property
    def sha256(self) -> str:
        """Digest of the content of the dataset."""
        return content_digest(self.manifest)

    def image(self, image_id: str) -> dict[str, Any]:
        """Return the row of an image in the index.

        Raises:
            MissingError: If the dataset has no such image.
        """
        number = self.finder.number_of(image_id)
        if number is None:
            raise MissingError(
                f"Expected the id of an image of {self.name}, but there is none of this id; go "
                "back to the list of images."
            )
        return self.index.table.row(number, named=True)

    def image_file(self, row: Mapping[str, Any]) -> tuple[Path | None, str]:
        """Return the file of an image, or None and why it cannot be shown.

        Args:
            row: Row with ``source`` and ``path``.
        """
        root = self.roots.get(row["source"])
        if root is None:
            return None, f"the folder of the release {row['source']} is not known"
        file = find_image(root, row["path"])
        if file is None:
            return None, "its path leads out of the folder of its release"
        if not file.is_file():
            return None, "its file is not in the folder of its release"
        return file, ""

    def provenance(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the row of an image in the table of images (schema IMAGES).

        Args:
            row: Its row in the index, which has most of the columns.
        """
        path = self.folder / "images.parquet"
        missing = [name for name in IMAGES.names() if name not in row]
        found = query_parquet(path, lambda t: t.slice(row["number"], 1).select(missing))
        both = {**row, **found.row(0, named=True)}
        return {name: both[name] for name in IMAGES.names()}

    def annotations(self, image_id: str) -> pl.DataFrame:
        """Return the annotations of an image (schema ANNOTATIONS), in the order of the file."""
        # the table is sorted by image, so the statistics of the file say where to read
        this = pl.col("image_id") == image_id
        path = self.folder / "annotations.parquet"
        return query_parquet(path, lambda t: t.filter(this)).select(ANNOTATIONS.names())

    def entries(self, row: Mapping[str, Any]) -> pl.DataFrame:
        """Return the entries of an image (schema ENTRIES), by task and id.

        Args:
            row: Row of the image; if its split is not stated, all splits are searched.
        """
        known = ("image_id", "patient_id", "split")
        columns = [name for name in ENTRIES.names() if name not in known]
        names = [row["split"]] if row["split"] in SPLITS else SPLITS
        found = [
            self._entries[name]
            .of([row["image_id"]], columns)
            .with_columns(pl.lit(name).alias("split"))
            for name in names
        ]
        of_image = [pl.lit(row[name], pl.String).alias(name) for name in known[:2]]
        both = pl.concat(found).with_columns(of_image)
        return both.select(ENTRIES.names()).sort("task", "entry_id")

    def conflicts(self, image_id: str) -> list[dict[str, Any]]:
        """Return the contradictions between annotations of an image (schema CONFLICTS)."""
        return self._conflicts.of([image_id], CONFLICTS.names()).to_dicts()

    def rejects(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rejected rows that name an image or its study (schema REJECTS)."""
        keys = [key for key in (row["image_id"], row["study_id"]) if key is not None]
        return self._rejects.of(keys, REJECTS.names()).to_dicts()

    def answers(self, image_id: str) -> dict[str, list[dict[str, Any]]]:
        """Return the answers of all arms (schema JUDGED) by the id of their entry."""
        found: dict[str, list[dict[str, Any]]] = {}
        if self.judged is not None:
            table = self.judged.table
            start, stop = (
                table["image_id"].search_sorted(image_id, side) for side in ("left", "right")
            )
            for row in table[int(start) : int(stop)].iter_rows(named=True):
                found.setdefault(row["entry_id"], []).append(row)
        return found

    def proposed(self, image_id: str) -> list[dict[str, Any]]:
        """Return the pseudo annotations of an image (schema PSEUDO)."""
        if self.candidates is None:
            return []
        return self.candidates.filter(pl.col("image_id") == image_id).to_dicts()

    def prepare(self) -> None:
        """Read the keys of the tables now, so that the first image is shown as fast as others."""
        for rows in (*self._entries.values(), self._conflicts, self._rejects):
            rows.prepare()

    @cached_property
    def _entries(self) -> dict[str, KeyedRows]:
        folder = self.folder / "entries"
        return {name: KeyedRows(folder / f"{name}.parquet", "image_id") for name in SPLITS}

    @cached_property
    def _conflicts(self) -> KeyedRows:
        return KeyedRows(self.folder / "conflicts.parquet", "image_id")

    @cached_property
    def _rejects(self) -> KeyedRows:
        return KeyedRows(self.folder / "rejects.parquet", "key")


def open_viewed(name: str, folder: Path, subject: Subject) -> ViewedDataset:
    """Check and summarise a dataset folder, and read the answers of the arms to its entries.

    Raises:
        ImaxrayError: If it is no dataset folder, or it is damaged.
    """
    return complete(open_at_once(name, folder, subject), subject)


def open_at_once(name: str, folder: Path, subject: Subject) -> ViewedDataset:
    """Check a dataset folder and open as much of it as takes no time.

    A large dataset without a kept summary, or one to which arms gave many answers, is opened with
    its table of images alone; it is not ``whole`` then, and :func:`complete` reads the rest.

    Raises:
        ImaxrayError: If it is no dataset folder, or it is damaged.
    """
    manifest, roots = read_manifest(folder)
    early = _Early(name, folder, manifest, roots)
    large = manifest["counts"]["images"] >= LARGE
    summary = kept_summary(content_digest(manifest)) if large else summarise(folder)
    answers = sum(arm.table.height for arm in subject.arms.values())
    if summary is None or answers > _MANY:
        index = index_images(without_facts(folder))
        return early.opened(index, summary=summary, whole=False)
    return _with_answers(early, summary, subject, lambda _: None)


def complete(
    data: ViewedDataset, subject: Subject, told: Callable[[float], None] = lambda _: None
) -> ViewedDataset:
    """Return a dataset with all that its tables say, which is kept for the next start.

    Args:
        data: Dataset as :func:`open_at_once` opened it.
        subject: What is shown.
        told: Gets the share of the work that is done, from 0 to 1.

    Raises:
        ImaxrayError: If a table is damaged.
    """
    if data.whole:
        return data
    summary, done = data.summary, 0.0
    if summary is None:
        done = 0.5 if subject.arms else 1.0
        summary = summarise(data.folder, lambda share: told(done * share))
        keep_summary(summary, data.sha256)
    early = _Early(data.name, data.folder, data.manifest, data.roots)
    return _with_answers(early, summary, subject, lambda share: told(done + (1 - done) * share))


@dataclass(frozen=True)
class _Early:
    """What is known of a dataset before its tables are read."""

    name: str
    folder: Path
    manifest: Mapping[str, Any]
    roots: Mapping[str, Path]

    def opened(self, index: ImageIndex, **more: Any) -> ViewedDataset:
        return ViewedDataset(
            self.name, self.folder, self.manifest, self.roots, index, Finder(index), **more
        )


def _with_answers(
    early: _Early, summary: Summary, subject: Subject, told: Callable[[float], None]
) -> ViewedDataset:
    judged = _judged(early.folder, subject, told)
    index = index_images(
        summary,
        judged=None if judged is None else judged.images,
        arms=() if judged is None else judged.arms,
        candidates=subject.candidates,
    )
    return early.opened(index, judged=judged, candidates=subject.candidates)


def _judged(folder: Path, subject: Subject, told: Callable[[float], None]) -> Judged | None:
    if not subject.arms:
        return None
    from imaxray.viewer.answers import judge  # late, because a dataset alone needs no metrics

    asked = pl.concat([arm.table["entry_id"] for arm in subject.arms.values()]).unique()
    entries = pl.concat(
        [
            query_parquet(
                folder / "entries" / f"{split}.parquet",
                lambda table: table.filter(pl.col("entry_id").is_in(asked.implode())),
            ).select(ENTRIES.names())
            for split in SPLITS
        ]
    )
    wanted = entries["image_id"].unique()
    images = query_parquet(
        folder / "images.parquet",
        lambda table: table.filter(pl.col("image_id").is_in(wanted.implode())),
    )
    return judge(subject.arms, entries, images, told)
