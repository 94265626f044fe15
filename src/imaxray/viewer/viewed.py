"""Opens a dataset for viewing: its index in memory, and the rows of one image from its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from imaxray._common.files import query_parquet
from imaxray.curation.dataset import content_digest, read_manifest
from imaxray.errors import ImaxrayError
from imaxray.schema import ANNOTATIONS, ENTRIES, IMAGES, SPLITS
from imaxray.sources import find_image
from imaxray.viewer.index import ImageIndex, index_images
from imaxray.viewer.query import Finder
from imaxray.viewer.subject import Subject
from imaxray.viewer.summary import summary_of

if TYPE_CHECKING:
    from imaxray.viewer.answers import Judged


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
    """

    name: str
    folder: Path
    manifest: Mapping[str, Any]
    roots: Mapping[str, Path]
    index: ImageIndex
    finder: Finder
    judged: Judged | None = None
    candidates: pl.DataFrame | None = None

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

    def provenance(self, number: int) -> dict[str, Any]:
        """Return the row of an image in the table of images (schema IMAGES)."""
        path = self.folder / "images.parquet"
        table = query_parquet(path, lambda t: t.slice(number, 1).select(IMAGES.names()))
        return table.row(0, named=True)

    def annotations(self, image_id: str) -> pl.DataFrame:
        """Return the annotations of an image (schema ANNOTATIONS), in the order of the file."""
        return self._of_image("annotations.parquet", image_id).select(ANNOTATIONS.names())

    def entries(self, image_id: str, split: str | None) -> pl.DataFrame:
        """Return the entries of an image (schema ENTRIES), by task and id.

        Args:
            image_id: Id of the image.
            split: Split of the image; None searches all of them.
        """
        found = [
            self._of_image(f"entries/{name}.parquet", image_id)
            for name in ([split] if split in SPLITS else SPLITS)
        ]
        return pl.concat(found).select(ENTRIES.names()).sort("task", "entry_id")

    def conflicts(self, image_id: str) -> list[dict[str, Any]]:
        """Return the contradictions between annotations of an image (schema CONFLICTS)."""
        return self._of_image("conflicts.parquet", image_id).to_dicts()

    def rejects(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rejected rows that name an image or its study (schema REJECTS)."""
        keys = [key for key in (row["image_id"], row["study_id"]) if key is not None]
        path = self.folder / "rejects.parquet"
        return query_parquet(path, lambda t: t.filter(pl.col("key").is_in(keys))).to_dicts()

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

    def _of_image(self, name: str, image_id: str) -> pl.DataFrame:
        return query_parquet(
            self.folder / name, lambda table: table.filter(pl.col("image_id") == image_id)
        )


def open_viewed(name: str, folder: Path, subject: Subject) -> ViewedDataset:
    """Check and summarise a dataset folder, and read the answers of the arms to its entries.

    Raises:
        ImaxrayError: If it is no dataset folder, or it is damaged.
    """
    manifest, roots = read_manifest(folder)
    judged = _judged(folder, subject)
    candidates = subject.candidates
    summary = summary_of(folder, content_digest(manifest), manifest["counts"]["images"])
    index = index_images(
        summary,
        judged=None if judged is None else judged.images,
        arms=() if judged is None else judged.arms,
        candidates=candidates,
    )
    return ViewedDataset(
        name, folder, manifest, roots, index, Finder(index), judged, candidates
    )  # fmt: skip


def _judged(folder: Path, subject: Subject) -> Judged | None:
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
    return judge(subject.arms, entries, images)
