"""Reads Medical-CXR-VQA 1.0.0: questions about single images, answered by a language model."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections import mimic
from imaxray.sources._shared.collections.study_questions import (
    STUDY_COLUMNS,
    STUDY_IMAGES,
    read_questions,
    read_study_images,
)
from imaxray.sources._shared.files.paths import find_file, relative, release_file
from imaxray.sources._shared.files.tables import check_columns, read_csv, read_header
from imaxray.sources._shared.records import SourceTables

# The README writes underscores; the authors' code and users' copies write hyphens.
_FILES: Final = tuple(
    f"{name}.csv{ending}"
    for name in ("medical-cxr-vqa-questions", "medical_cxr_vqa_questions")
    for ending in ("", ".gz")
)
_COLUMNS: Final = ("study_id", "question", "answer")


class MedicalCxrVqa(Source):
    """Reads questions about studies, each with the image that the question is about.

    That image is the row's ``dicom_id`` or, if the table has no such column, the image that
    ``mimic_all.csv`` names for the study. The documented headers differ from each other, so only
    study_id, question and answer are required, and ``mimic_all.csv`` only if the table has no
    ``dicom_id``. The release's own split is not used, because it is not documented whether it
    separates patients.
    """

    name = "medical-cxr-vqa"
    title = "Medical-CXR-VQA"
    version = "1.0.0"
    collection = mimic.COLLECTION
    tasks = ("vqa",)
    access = "credentialed"
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    citation = "Hu et al., PhysioNet 2025, doi:10.13026/1pm5-hy02"
    url = "https://physionet.org/content/medical-cxr-vqa-dataset/1.0.0/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        questions = find_file(root, _FILES, self.name)
        check_columns(questions, read_header(questions), _COLUMNS)
        images = self._images(root, questions)
        if images is None:
            return [relative(questions, root)]
        check_columns(images, read_header(images), STUDY_COLUMNS)
        return [relative(questions, root), relative(images, root)]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        self.check(root)
        path = find_file(root, _FILES, self.name)
        table = read_csv(path, _COLUMNS)
        files = [release_file(path, root, self.name, table.height)]
        studies, hints, odd = None, SourceTables().hints, SourceTables().rejects
        images = self._images(root, path)
        if images is not None:
            studies, hints, odd, file = read_study_images(images, root, self.name)
            files.append(file)
        annotations, rejects = read_questions(
            table, studies, source=self.name, file=relative(path, root), quality="language-model"
        )
        return SourceTables(
            annotations=annotations,
            hints=hints,
            rejects=pl.concat([rejects, odd]),
            files=tuple(files),
        )

    def _images(self, root: Path, questions: Path) -> Path | None:
        """Return the path of ``mimic_all.csv``, or None if every row names its image itself."""
        if "dicom_id" in read_header(questions):
            return None
        return find_file(root, STUDY_IMAGES, self.name)
