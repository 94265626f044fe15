"""Forecasts what a build will use of one release: its images, and the annotations they get."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from imaxray import radiograph
from imaxray.curation.joining.join import join_images, place_annotations
from imaxray.curation.joining.verify import verify_images
from imaxray.errors import ImaxrayError
from imaxray.sources import SourceTables, find_image

_LOOKED_AT: Final = 200
"""Number of images whose size is compared with the table's; a build compares all."""


@dataclass(frozen=True)
class Forecast:
    """States what a build of one release alone can use.

    Attributes:
        images: Number of images that the release states and whose files exist.
        missing: Number of images that the tables name but whose files do not exist.
        no_view: Number of ``images`` without a stated view, which get no facts of their study.
        annotations: Number of all annotations that were read.
        placed: Number of annotations that reach an image.
        carriers: Number of images with at least one annotation.
        lost: Number of annotations that reach no image, by the code of their reject.
        looked_at: Number of images whose size was compared with the table's.
        other_size: Number of these with another size; a build rejects such images.
    """

    images: int
    missing: int
    no_view: int
    annotations: int
    placed: int
    carriers: int
    lost: dict[str, int]
    looked_at: int
    other_size: int

    def sentences(self) -> list[str]:
        """Return the forecast in words.

        Example:
            >>> said = Forecast(3, 1, 2, 9, 4, 1, {"no-frontal-image": 5}, 3, 0).sentences()
            >>> print(said[0])
            Images in this copy: 3; missing images, which the tables name: 1.
            >>> print(said[1])
            A build of this release alone can use 4 of 9 annotations, on 1 of 3 images.
            >>> print(said[2])
            Annotations that reach no image: 5 (no-frontal-image 5).
            >>> print(said[3])
            Images without a known view, which get no facts of their study: 2.
        """
        if self.images == self.missing == 0:
            return [
                "Images: none, because the release is about the images of another one; a build "
                f"needs both to use these {self.annotations:,} annotations."
            ]
        said = [
            f"Images in this copy: {self.images:,}; missing images, which the tables name: "
            f"{self.missing:,}.",
            f"A build of this release alone can use {self.placed:,} of {self.annotations:,} "
            f"annotations, on {self.carriers:,} of {self.images:,} images.",
        ]
        if self.lost:
            codes = ", ".join(f"{code} {count:,}" for code, count in sorted(self.lost.items()))
            said.append(f"Annotations that reach no image: {sum(self.lost.values()):,} ({codes}).")
        if self.no_view and self.lost:
            said.append(
                f"Images without a known view, which get no facts of their study: {self.no_view:,}."
            )
        if self.other_size:
            said.append(
                f"Of {self.looked_at:,} images that were looked at, {self.other_size:,} have "
                "another size than the table states; a build rejects such images (size-mismatch)."
            )
        return said


def forecast_use(tables: SourceTables, source: str, root: Path) -> Forecast:
    """Return what a build of one release alone can use of what its source read.

    Whether an image file exists is looked up; no image is decoded.

    Args:
        tables: What the source returned.
        source: Name of the source.
        root: Folder of the release.
    """
    stated, _ = join_images([tables])
    here, gone = verify_images(stated, {source: root}, how="exists", workers=1)
    dropped = stated.join(here, on="image_id", how="anti")
    placed, rejects = place_annotations([tables], here, dropped)
    lost = Counter[str]()
    for frame in rejects:
        lost.update(frame["code"].to_list())
    unread = tables.rejects.filter(pl.col("code") == "missing-image")["key"]
    absent = gone.filter(pl.col("code") == "missing-image")["key"]
    carriers = pl.concat([frame["_image"] for frame in placed]) if placed else pl.Series()
    looked_at, other = _other_sizes(here, root)
    return Forecast(
        images=here.height,
        missing=pl.concat([unread, absent]).drop_nulls().n_unique(),
        no_view=here["view"].null_count(),
        annotations=tables.annotations.height,
        placed=tables.annotations.height - sum(lost.values()),
        carriers=carriers.n_unique(),
        lost=dict(lost),
        looked_at=looked_at,
        other_size=other,
    )


def _other_sizes(images: pl.DataFrame, root: Path) -> tuple[int, int]:
    """Return how many images were looked at, evenly over all, and how many have another size."""
    step = max(1, images.height // _LOOKED_AT)
    looked_at = other = 0
    for path, width, height in images.gather_every(step).select("path", "width", "height").rows():
        file = find_image(root, path)
        try:
            size = None if file is None else radiograph.size(file)
        except ImaxrayError:
            continue  # a build says that the file is damaged
        if size is not None:
            looked_at += 1
            other += size != (width, height)
    return looked_at, other
