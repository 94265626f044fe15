"""Reads MS-CXR 1.1.0: phrases and the boxes that radiologists drew for them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from imaxray.schema import SOURCE_ANNOTATIONS, SPLIT_HINTS, SPLITS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections import mimic
from imaxray.sources._shared.files.columns import (
    has_area,
    numeric,
    provenance,
    reject,
    stated_by,
    xyxy_from_xywh,
)
from imaxray.sources._shared.files.paths import find_file, relative, release_file
from imaxray.sources._shared.files.tables import check_columns, read_csv, read_header
from imaxray.sources._shared.records import SourceTables

_FILES: Final = tuple(
    f"MS_CXR_Local_Alignment_v{version}.csv{ending}"
    for version in ("1.1.0", "1.0.0")
    for ending in ("", ".gz")
)
_COLUMNS: Final = ("dicom_id", "category_name", "label_text", "path", "x", "y", "w", "h")


class MsCxr(Source):
    """Reads one annotation per row; a phrase with several boxes has several rows."""

    name = "ms-cxr"
    title = "MS-CXR: Local Alignment Chest X-ray dataset"
    version = "1.1.0"
    collection = mimic.COLLECTION
    tasks = ("rec", "reg")
    access = "credentialed"
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    citation = "Boecking et al., ECCV 2022, arXiv:2204.09817"
    url = "https://physionet.org/content/ms-cxr/1.1.0/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        path = find_file(root, _FILES, self.name)
        check_columns(path, read_header(path), _COLUMNS)
        return [relative(path, root)]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        path = find_file(root, _FILES, self.name)
        table = read_csv(path, _COLUMNS)
        file = relative(path, root)
        sides = [numeric(name).alias(f"_{name}") for name in "xywh"]
        full = table.with_columns(
            mimic.image_id("dicom_id").alias("image_id"),
            mimic.patient_id("path").alias("patient_id"),
            *sides,
        )
        known = pl.col("image_id").is_not_null()
        number = pl.all_horizontal(pl.col("_x", "_y", "_w", "_h").is_not_null())
        sized = has_area("_x", "_y", "_w", "_h")
        worded = pl.all_horizontal(pl.col("label_text", "category_name").is_not_null())
        where = {"source": self.name, "file": file, "key": "dicom_id"}
        rejects = [
            reject(full.filter(~known), **where, code="bad-id",
                   message="dicom_id is none of MIMIC's"),
            reject(full.filter(known & ~number), **where, code="bad-value",
                   message="x, y, w and h must be numbers"),
            reject(full.filter(known & number & ~sized), **where, code="zero-area-box",
                   message="the box has no width or no height"),
            reject(full.filter(known & number & sized & ~worded), **where, code="empty-text",
                   message="the box has no phrase or no category"),
        ]  # fmt: skip
        good = full.filter(known & number & sized & worded)
        annotations = good.select(
            "image_id",
            pl.lit("region").alias("kind"),
            pl.col("category_name").alias("name"),
            pl.col("label_text").alias("text"),
            xyxy_from_xywh("_x", "_y", "_w", "_h").alias("boxes"),
            *stated_by("human", "radiologist"),
            *provenance(self.name, file),
        )
        # Version 1.0.0 has no column for the split.
        stated = pl.col("split") if "split" in good.columns else pl.lit(None, dtype=pl.String)
        split = stated.str.to_lowercase().replace({"valid": "val", "validate": "val"})
        named = split.is_null() | split.is_in(list(SPLITS))
        rejects.append(
            reject(good.filter(~named), **where, code="bad-value",
                   message="split must be train, val or test")
        )  # fmt: skip
        hints = good.filter(pl.col("patient_id").is_not_null()).select(
            "patient_id",
            pl.when(named).then(split).alias("split"),
            *provenance(self.name, file),
        )
        return SourceTables(
            annotations=conform(annotations, SOURCE_ANNOTATIONS),
            hints=conform(hints, SPLIT_HINTS),
            rejects=pl.concat(rejects),
            files=(release_file(path, root, self.name, table.height),),
        )
