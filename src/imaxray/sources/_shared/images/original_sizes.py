"""Scales boxes of VinDr-CXR to converted images by the stated size of the original images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from imaxray.schema import REJECTS, SPLIT_HINTS, conform, empty
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.files.columns import numeric, provenance, reject
from imaxray.sources._shared.files.paths import relative, release_file
from imaxray.sources._shared.files.tables import read_csv
from imaxray.sources._shared.images.image_files import is_sound
from imaxray.sources._shared.records import ReleaseFile

SIZE_COLUMNS: Final = ("image_id", "dim0", "dim1")
"""Columns of the table of sizes; the first dimension of an array of pixels is the height."""

_SIZES: Final = {"image_id": pl.String, "_meta_width": pl.Float64, "_meta_height": pl.Float64}


def original_sizes_file(root: Path, places: Sequence[str], which: str) -> Path | None:
    """Return the table of original sizes of a set (``train_meta.csv``), or None if none exists.

    Args:
        root: Folder of the release.
        places: Folders inside the release, each empty or with a slash at its end.
        which: Name of the set, ``train`` or ``test``.
    """
    paths = (
        root / f"{place}{inside}{which}_meta.csv{ending}"
        for place in places
        for inside in ("", f"{which}/")
        for ending in ("", ".gz", ".zip")
    )
    return next((path for path in paths if path.is_file()), None)


def original_sizes(
    root: Path, path: Path | None, images: pl.DataFrame, source: Source
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, list[ReleaseFile]]:
    """Read the sizes of the original images.

    Args:
        root: Folder of the release.
        path: Table of sizes, or None.
        images: Image files of the set, by stem.
        source: Source that reads.

    Returns:
        The size of each image; hints without a split, which show that a row was used; rejects; the
        file that was read.
    """
    if path is None:
        return pl.DataFrame(schema=_SIZES), empty(SPLIT_HINTS), empty(REJECTS), []
    table = read_csv(path, SIZE_COLUMNS)
    file = relative(path, root)
    sizes = table.with_columns(
        numeric("dim1").alias("_meta_width"), numeric("dim0").alias("_meta_height")
    )
    sized = ((pl.col("_meta_width") >= 1) & (pl.col("_meta_height") >= 1)).fill_null(False)
    sound = images.filter(is_sound())["stem"].to_list()
    here = pl.col("image_id").is_in(sound).fill_null(False)
    where = {"source": source.name, "file": file, "key": "image_id"}
    bad = pl.concat([
        reject(sizes.filter(~here), **where, code="missing-image",
               message="the image is not in this copy"),
        reject(sizes.filter(here & ~sized), **where, code="bad-value",
               message="dim0 and dim1 must be positive numbers"),
    ])  # fmt: skip
    good = sizes.filter(here & sized)
    hints = good.select(
        (pl.lit(f"{source.collection}/") + pl.col("image_id")).alias("image_id"),
        *provenance(source.name, file),
    )
    once = good.unique("image_id", keep="first", maintain_order=True).select(*_SIZES)
    files = [release_file(path, root, source.name, table.height)]
    return once, conform(hints, SPLIT_HINTS), bad, files


def stated_sizes(table: pl.DataFrame) -> list[pl.Expr]:
    """Return the size of the original image that each row states itself, null if none does."""
    return [
        (numeric(side) if side in table.columns else pl.lit(None, dtype=pl.Float64)).alias(
            f"_stated_{side}"
        )
        for side in ("width", "height")
    ]


def with_scales(full: pl.DataFrame, originals: Sequence[str]) -> pl.DataFrame:
    """Add the factors from original pixels to those of the file, null if the size is not stated.

    Args:
        full: Rows with the columns of an image file, the size that the row states
            (``_stated_width``, ``_stated_height``) and that of the table of sizes.
        originals: Endings of files that are the original images.
    """
    converted = ~pl.col("path").str.to_lowercase().str.contains(
        "(?:" + "|".join(originals).replace(".", "[.]") + ")$"
    )

    def factor(side: str) -> pl.Expr:
        original = pl.coalesce(f"_stated_{side}", f"_meta_{side}")
        return pl.when(~converted).then(1.0).when(original >= 1).then(pl.col(side) / original)

    across, down = factor("width"), factor("height")
    both = across.is_not_null() & down.is_not_null()
    return full.with_columns(
        pl.when(both).then(across).alias("_scale_x"), pl.when(both).then(down).alias("_scale_y")
    )
