"""Reads the reports of MIMIC-CXR 2.1.0: the findings and impression text of each study."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path, PurePosixPath

import polars as pl

from imaxray.schema import REJECTS, SOURCE_ANNOTATIONS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections import mimic
from imaxray.sources._shared.files.archives import Archive, Member
from imaxray.sources._shared.files.columns import provenance
from imaxray.sources._shared.records import SourceTables
from imaxray.sources._shared.sections.report_sections import report_texts
from imaxray.sources._shared.sections.section_exceptions import section_exceptions


class MimicCxr(Source):
    """Reads reports from ``mimic-cxr-reports.zip`` or from the folder it was unpacked to."""

    name = "mimic-cxr"
    title = "MIMIC-CXR reports"
    version = "2.1.0"
    collection = mimic.COLLECTION
    tasks = ("report",)
    access = "credentialed"
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    citation = "Johnson et al., MIMIC-CXR Database (PhysioNet, 2024), Sci Data 6:317"
    url = "https://physionet.org/content/mimic-cxr/2.1.0/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        archive = self._archive(root)
        archive.check()
        return [archive.file]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        return self.read_with(root, None)

    def read_with(self, root: Path, pool: Executor | None) -> SourceTables:
        """Read the release and split the reports in ``pool`` (see :meth:`Source.read_with`)."""
        archive = self._archive(root)
        file = archive.file
        rows, parts = archive.map(functools.partial(_read_reports, encoding=self.encoding), pool)
        texts = [text for part in parts for text in part[0]]
        bad = [(self.name, file, *item) for part in parts for item in part[1]]
        frame = pl.DataFrame(
            texts,
            schema={
                "path": pl.String,
                "name": pl.String,
                "text": pl.String,
                "quality": pl.String,
                "row": pl.Int64,
            },
            orient="row",
        ).with_columns(mimic.study_id("path").alias("study_id"))
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
            "quality",
            *provenance(self.name, file),
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


_Text = tuple[str, str, str, str, int]  # member, section, text, how it was read, row


def _read_reports(
    members: Iterator[Member], encoding: str
) -> tuple[list[_Text], list[tuple[int, str, str, str]]]:
    exceptions = section_exceptions()
    texts: list[_Text] = []
    bad: list[tuple[int, str, str, str]] = []
    for row, name, content in members:
        if content is None:
            what = "the member is damaged or too large"
            bad.append((row, name, "unreadable-member", what))
            continue
        try:
            report = content.decode(encoding)
        except UnicodeDecodeError:
            what = "the report is not text in the encoding of the release"
            bad.append((row, name, "bad-encoding", what))
            continue
        exception = exceptions.get(PurePosixPath(name).stem)
        sections = None if exception is None else exception.texts(report)
        if sections is None:
            sections = report_texts(report)
        if not sections:
            what = "no text of the report is about the image"
            bad.append((row, name, "empty-text", what))
        texts += [(name, s.name, s.text, s.how, row) for s in sections]
    return texts, bad
