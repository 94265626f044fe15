"""Writes MIMIC-CXR-JPG 2.1.0 tables and the MIMIC-CXR 2.1.0 reports (sources.md, 1 and 2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from imaxray.phantom.records import Radiograph, Study
from imaxray.phantom.releases.files import write_csv, write_zip
from imaxray.schema import CHEXPERT

METADATA: Final = (
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)
SPLIT: Final = ("dicom_id", "study_id", "subject_id", "split")
LABELS: Final = ("subject_id", "study_id", *CHEXPERT)
RADIOLOGIST: Final = (
    "study_id",
    *("Airspace Opacity" if name == "Lung Opacity" else name for name in CHEXPERT),
)
RECORDS: Final = ("subject_id", "study_id", "dicom_id", "path")
STUDIES: Final = ("subject_id", "study_id", "path")
_VIEW_CODE: Final = {"PA": "postero-anterior", "AP": "antero-posterior", "LATERAL": "lateral"}


def write_mimic_cxr_jpg(out: Path, studies: Sequence[Study], seed: int) -> None:
    """Write metadata, split, CheXpert, NegBio and the radiologist's test labels."""
    metadata = [metadata_row(study, image, seed) for study in studies for image in study.images]
    split = [split_row(study, image) for study in studies for image in study.images]
    order = np.random.default_rng([seed, 4]).permutation(len(metadata))
    write_csv(out / "mimic-cxr-2.0.0-metadata.csv.gz", METADATA, [metadata[k] for k in order])
    write_csv(out / "mimic-cxr-2.0.0-split.csv.gz", SPLIT, split)
    chexpert: list[tuple[Any, ...]] = []
    negbio: list[tuple[Any, ...]] = []
    radiologist: list[tuple[Any, ...]] = []
    for study in studies:
        random = np.random.default_rng([seed, 5, study.number])
        if random.random() < 0.03:
            continue  # a study with no label row
        first, second = label_rows(study, random)
        chexpert.append(first)
        negbio.append(second)
        if study.split == "test" and (random.random() < 0.5 or not radiologist):
            radiologist.append(radiologist_row(study))
    write_csv(out / "mimic-cxr-2.0.0-chexpert.csv.gz", LABELS, chexpert)
    write_csv(out / "mimic-cxr-2.0.0-negbio.csv.gz", LABELS, negbio)
    write_csv(out / "mimic-cxr-2.1.0-test-set-labeled.csv", RADIOLOGIST, radiologist)


def metadata_row(study: Study, image: Radiograph, seed: int) -> tuple[Any, ...]:
    """Return one row of the metadata table; the view is blank in 2 % of the rows."""
    plan = image.plan
    random = np.random.default_rng([seed, 3, plan.index])
    what = "CHEST (PORTABLE AP)" if plan.view == "AP" else "CHEST (PA AND LAT)"
    blank = random.random() < 0.02
    date = 21500101 + (study.number * 7) % 28 + 100 * (study.number % 12)
    time = f"{int(random.integers(0, 24)):02d}{int(random.integers(0, 60)):02d}31.25"
    return (
        image.dicom_id, image.subject_id, image.study_id, what,
        "" if blank else plan.view, plan.height, plan.width, date, time.lstrip("0"), what,
        _VIEW_CODE[plan.view], "Recumbent" if plan.view == "AP" else "Erect",
    )  # fmt: skip


def split_row(study: Study, image: Radiograph) -> tuple[Any, ...]:
    """Return one row of the official split."""
    return (image.dicom_id, image.study_id, image.subject_id, study.split)


def label_rows(
    study: Study, random: np.random.Generator
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the study's rows of the CheXpert and the NegBio table, which sometimes differ."""
    stated = {} if random.random() < 0.01 else study.labels
    head = (study.subject_id, study.study_id)
    other = {k: v for k, v in stated.items() if random.random() < 0.95}
    for name, value in other.items():
        if value == 1.0 and random.random() < 0.03:
            other[name] = -1.0  # the two labelers disagree
    return (*head, *_cells(stated)), (*head, *_cells(other))


def radiologist_row(study: Study) -> tuple[Any, ...]:
    """Return the study's row of the radiologist's test labels, which have no blank cells."""
    full = {name: study.labels.get(name, 0.0) for name in CHEXPERT}
    return (study.study_id, *_cells(full))


def write_mimic_cxr(out: Path, studies: Sequence[Study]) -> None:
    """Write the record list, the study list and the zipped reports."""
    images = [image for study in studies for image in study.images]
    write_csv(out / "cxr-record-list.csv.gz", RECORDS, [record_row(image) for image in images])
    write_csv(out / "cxr-study-list.csv.gz", STUDIES, [study_row(study) for study in studies])
    write_zip(
        out / "mimic-cxr-reports.zip",
        {report_path(study): study.report.encode() for study in studies},
    )


def record_row(image: Radiograph) -> tuple[Any, ...]:
    """Return one row of the record list."""
    path = image.path.replace(".jpg", ".dcm")
    return (image.subject_id, image.study_id, image.dicom_id, path)


def study_row(study: Study) -> tuple[Any, ...]:
    """Return one row of the study list."""
    return (study.subject_id, study.study_id, report_path(study))


def report_path(study: Study) -> str:
    """Return the path of the report, which lies in the patient's folder, not in the study's."""
    return f"{study.images[0].folder}/s{study.study_id}.txt"


def _cells(labels: dict[str, float]) -> list[str]:
    return [f"{labels[name]:.1f}" if name in labels else "" for name in CHEXPERT]
