"""MIMIC-CXR 2.1.0: the reports, as findings and impression text of each study."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from imaxray.schema import REJECTS, SOURCE_ANNOTATIONS, conform
from imaxray.sources import _mimic
from imaxray.sources._archives import Archive
from imaxray.sources._base import Source, SourceTables
from imaxray.sources._report_sections import findings_and_impression


class MimicCxr(Source):
    """Reports, from ``mimic-cxr-reports.zip`` or the folder it was unpacked to."""

    name = "mimic-cxr"
    title = "MIMIC-CXR reports"
    version = "2.1.0"
    collection = _mimic.COLLECTION
    tasks = ("report",)
    access = "credentialed"
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    citation = "Johnson et al., MIMIC-CXR Database (PhysioNet, 2024), Sci Data 6:317"
    url = "https://physionet.org/content/mimic-cxr/2.1.0/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        archive = self._archive(root)
        next(iter(archive.members()))
        return [archive.file]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        archive = self._archive(root)
        file = archive.file
        texts: list[tuple[str, str, str, int]] = []
        bad: list[tuple[str, str, int, str, str, str]] = []
        rows = 0
        for rows, name, content in archive.members():
            where = (self.name, file, rows, name)
            if content is None:
                bad.append((*where, "unreadable-member", "the member is damaged or too large"))
                continue
            sections = findings_and_impression(content.decode("utf-8", errors="replace"))
            if not sections:
                bad.append((*where, "empty-text", "neither findings nor impression has text"))
            texts += [(name, section, text, rows) for section, text in sections.items()]
        frame = pl.DataFrame(
            texts,
            schema={"path": pl.String, "name": pl.String, "text": pl.String, "row": pl.Int64},
            orient="row",
        ).with_columns(_mimic.study_id("path").alias("study_id"))
        unknown = frame.filter(pl.col("study_id").is_null()).unique("row", maintain_order=True)
        bad += [
            (self.name, file, row, path, "bad-id", "the name holds no study id of MIMIC's")
            for path, row in unknown.select("path", "row").iter_rows()
        ]
        annotations = frame.filter(pl.col("study_id").is_not_null()).select(
            "study_id",
            pl.lit("report").alias("kind"),
            "name",
            "text",
            pl.lit("human").alias("origin"),
            pl.lit("report").alias("quality"),
            pl.lit(self.name).alias("source"),
            pl.lit(file).alias("file"),
            "row",
        )
        return SourceTables(
            annotations=conform(annotations, SOURCE_ANNOTATIONS),
            rejects=pl.DataFrame(bad, schema=REJECTS, orient="row"),
            files=(archive.release_file(rows),),
        )

    def _archive(self, root: Path) -> Archive:
        return Archive(
            root, ("mimic-cxr-reports.zip",), ("mimic-cxr-reports", "files"), ".txt", self.name
        )
