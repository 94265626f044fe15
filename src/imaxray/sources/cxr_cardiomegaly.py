"""Reads cxr-cardiomegaly 1.0.0: cardiothoracic and cardiopulmonary area ratios of PA images."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from imaxray._common.names import columns_shown
from imaxray.errors import ImaxrayError
from imaxray.schema import SOURCE_ANNOTATIONS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections import mimic
from imaxray.sources._shared.files.columns import (
    numeric,
    provenance,
    reject,
    stated_by,
)
from imaxray.sources._shared.files.paths import (
    find_file,
    relative,
    release_file,
)
from imaxray.sources._shared.files.tables import check_columns, read_csv, read_header
from imaxray.sources._shared.records import SourceTables

_RATIOS: Final = {"CTR": "ctr", "CPAR": "cpar"}
_IDS: Final = ("dicom_file", "dicom_id")  # names in the release and in the authors' script


class CxrCardiomegaly(Source):
    """Reads CTR and CPAR that a segmentation model measured.

    The codes 2 (no heart found), 3 (no lungs found) and 4 (neither found) are rejects.
    """

    name = "cxr-cardiomegaly"
    title = "Image-derived cardiomegaly biomarker values for 96K chest X-rays in MIMIC-CXR"
    version = "1.0.0"
    collection = mimic.COLLECTION
    tasks = ("calculation",)
    access = "open"
    licence = "ODC-BY 1.0"
    citation = "Duvieusart et al., PhysioNet (2023), doi:10.13026/kfpv-zm25"
    url = "https://physionet.org/content/cxr-cardiomegaly/1.0.0/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        found = []
        for ratio, path in self._paths(root).items():
            header = read_header(path)
            check_columns(path, header, (ratio,))
            if not set(_IDS) & set(header):
                raise ImaxrayError(
                    f"Expected the column {' or '.join(_IDS)} in {path}, but its header is "
                    f"{columns_shown(header)}; check that it is the file of the stated release."
                )
            found.append(relative(path, root))
        return found

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        self.check(root)
        kept, rejects, files = [], [], []
        for ratio, path in self._paths(root).items():
            table = read_csv(path, (ratio,))
            file = relative(path, root)
            files.append(release_file(path, root, self.name, table.height))
            column = next(name for name in _IDS if name in table.columns)
            full = table.with_columns(
                mimic.image_id(column).alias("image_id"), numeric(ratio).alias("value")
            )
            known, value = pl.col("image_id").is_not_null(), pl.col("value")
            code = value.is_in([2.0, 3.0, 4.0]).fill_null(False)
            valid = ((value > 0) & (value < 1)).fill_null(False)
            where = {"source": self.name, "file": file, "key": column}
            rejects += [
                reject(full.filter(~known), **where, code="bad-id",
                       message=f"{column} is none of MIMIC's"),
                reject(full.filter(known & code), **where, code="sentinel",
                       message="no heart (2), no lungs (3) or neither (4) was found"),
                reject(full.filter(known & value.is_null()), **where, code="bad-value",
                       message=f"{ratio} is no number"),
                reject(full.filter(known & ~code & ~valid & value.is_not_null()), **where,
                       code="out-of-range", message=f"{ratio} must lie between 0 and 1"),
            ]  # fmt: skip
            kept.append(
                full.filter(known & valid).select(
                    "image_id",
                    pl.lit("measurement").alias("kind"),
                    pl.lit(_RATIOS[ratio]).alias("name"),
                    "value",
                    *stated_by("silver", "segmentation"),
                    *provenance(self.name, file),
                )
            )
        return SourceTables(
            annotations=conform(pl.concat(kept), SOURCE_ANNOTATIONS),
            rejects=pl.concat(rejects),
            files=tuple(files),
        )

    def _paths(self, root: Path) -> dict[str, Path]:
        return {
            ratio: find_file(root, (f"{ratio}s.csv", f"{ratio}s.csv.gz"), self.name)
            for ratio in _RATIOS
        }
