"""Reads mimic-cxr-pe-severity 1.0.1: pulmonary edema grades from 0 to 3."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from imaxray.schema import SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections import mimic
from imaxray.sources._shared.files.columns import (
    numeric,
    provenance,
    reject,
    stated_by,
)
from imaxray.sources._shared.files.paths import find_file, relative, release_file
from imaxray.sources._shared.files.tables import check_columns, read_csv, read_header
from imaxray.sources._shared.records import SourceTables

_FILES: Final = {
    "consensus": "consensus_image_edema_severity.csv",
    "expert": "expert_report_edema_severity.csv",
    "regex": "regex_report_edema_severity.csv",
}
"""Sets of grades from best to worst; a study that an earlier set grades ignores later sets."""


class MimicCxrPeSeverity(Source):
    """Reads edema grades by consensus on images, by experts and by regular expressions on reports.

    Consensus grades take precedence over expert grades, and expert grades over regular expressions.
    All consensus and expert studies are in the regex file too; those regex rows are rejected as
    ``superseded``. Patients of the consensus and the expert set belong to the test split, because
    the authors hold them out.
    """

    name = "mimic-cxr-pe-severity"
    title = "Pulmonary edema severity grades based on MIMIC-CXR"
    version = "1.0.1"
    collection = mimic.COLLECTION
    tasks = ("grading",)
    access = "credentialed"
    licence = "PhysioNet Restricted Health Data License 1.5.0"
    citation = "Liao et al., Pulmonary Edema Severity Grades Based on MIMIC-CXR (PhysioNet, 2021)"
    url = "https://physionet.org/content/mimic-cxr-pe-severity/1.0.1/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        found = []
        for set_name, path in self._paths(root).items():
            header = read_header(path)
            needed = ["dicom_id"] if set_name == "consensus" else []
            grade = "edeme_severity" if "edeme_severity" in header else "edema_severity"
            check_columns(path, header, ["subject_id", "study_id", *needed, grade])
            found.append(relative(path, root))
        return found

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        self.check(root)
        grades, hints, rejects, files = [], [], [], []
        graded = pl.DataFrame(schema={"study": pl.String})
        for set_name, path in self._paths(root).items():
            # An older copy of the release misspells the column.
            table = read_csv(path, ("study_id",)).rename(
                {"edeme_severity": "edema_severity"}, strict=False
            )
            file = relative(path, root)
            files.append(release_file(path, root, self.name, table.height))
            good, bad = self._grades(table, file, set_name)
            fresh = good.join(graded, on="study", how="anti", maintain_order="left")
            stale = good.join(graded, on="study", how="semi", maintain_order="left")
            bad.append(
                reject(stale, source=self.name, file=file, key="study_id", code="superseded",
                       message="a better set of this release grades the study")
            )  # fmt: skip
            graded = pl.concat([graded, fresh.select("study").unique()])
            image_level = set_name == "consensus"
            grades.append(
                conform(
                    fresh.select(
                        (pl.col("image_id") if image_level else pl.lit(None, dtype=pl.String))
                        .alias("image_id"),
                        (pl.lit(None, dtype=pl.String) if image_level else pl.col("study"))
                        .alias("study_id"),
                        pl.lit("grade").alias("kind"),
                        pl.lit("edema").alias("name"),
                        "value",
                        *stated_by("silver" if set_name == "regex" else "human", set_name),
                        *provenance(self.name, file),
                    ),
                    SOURCE_ANNOTATIONS,
                )
            )  # fmt: skip
            if set_name != "regex":
                hints.append(
                    conform(
                        fresh.select(
                            "patient_id", pl.lit("test").alias("split"),
                            *provenance(self.name, file),
                        ),
                        SPLIT_HINTS,
                    )
                )  # fmt: skip
            rejects += bad
        return SourceTables(
            annotations=pl.concat(grades),
            hints=pl.concat(hints),
            rejects=pl.concat(rejects),
            files=tuple(files),
        )

    def _paths(self, root: Path) -> dict[str, Path]:
        return {
            set_name: find_file(root, (file, f"{file}.gz"), self.name)
            for set_name, file in _FILES.items()
        }

    def _grades(
        self, table: pl.DataFrame, file: str, set_name: str
    ) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
        image = (
            mimic.image_id("dicom_id") if set_name == "consensus" else pl.lit("", dtype=pl.String)
        )
        full = table.with_columns(
            mimic.study_id("study_id").alias("study"),
            mimic.patient_id("subject_id").alias("patient_id"),
            image.alias("image_id"),
            numeric("edema_severity").alias("value"),
        )
        known = pl.all_horizontal(pl.col("study", "patient_id", "image_id").is_not_null())
        legal = pl.col("value").is_in([0.0, 1.0, 2.0, 3.0]).fill_null(False)
        where = {"source": self.name, "file": file, "key": "study_id"}
        bad = [
            reject(full.filter(~known), **where, code="bad-id",
                   message="subject_id, study_id or dicom_id is none of MIMIC's"),
            reject(full.filter(known & ~legal), **where, code="bad-value",
                   message="the grade must be 0, 1, 2 or 3"),
        ]  # fmt: skip
        return full.filter(known & legal), bad
