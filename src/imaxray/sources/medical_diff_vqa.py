"""Reads the questions about single images of Medical-Diff-VQA (MIMIC-Diff-VQA) 1.0.1."""

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

_FILES: Final = ("mimic_pair_questions.csv", "mimic_pair_questions.csv.gz")
_COLUMNS: Final = ("study_id", "question_type", "question", "answer")


class MedicalDiffVqa(Source):
    """Reads questions about a main study, each with the image ``mimic_all.csv`` names for it.

    ``difference`` questions also need the reference image and are rejects (``two-images``). Rules
    made the answers from the reports. The release's own train / val / test split is made by row and
    puts most patients into several sets, so it is not used; ``mimic_all.csv`` has the official
    split of MIMIC.
    """

    name = "medical-diff-vqa"
    title = "Medical-Diff-VQA"
    version = "1.0.1"
    collection = mimic.COLLECTION
    tasks = ("vqa",)
    access = "credentialed"
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    citation = "Hu et al., KDD 2023, doi:10.1145/3580305.3599819"
    url = "https://physionet.org/content/medical-diff-vqa/1.0.1/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        questions = find_file(root, _FILES, self.name)
        check_columns(questions, read_header(questions), _COLUMNS)
        images = find_file(root, STUDY_IMAGES, self.name)
        check_columns(images, read_header(images), STUDY_COLUMNS)
        return [relative(questions, root), relative(images, root)]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        self.check(root)
        path = find_file(root, _FILES, self.name)
        studies, hints, odd, images = read_study_images(
            find_file(root, STUDY_IMAGES, self.name), root, self.name
        )
        table = read_csv(path, _COLUMNS)
        annotations, rejects = read_questions(
            table, studies, source=self.name, file=relative(path, root), quality="rule"
        )
        return SourceTables(
            annotations=annotations,
            hints=hints,
            rejects=pl.concat([rejects, odd]),
            files=(release_file(path, root, self.name, table.height), images),
        )
