"""MIMIC-CXR-JPG 2.1.0 tables and the MIMIC-CXR 2.1.0 report archive (sources.md, 1 and 2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from imaxray.phantom.records import Study
from imaxray.phantom.releases._files import write_csv, write_zip
from imaxray.schema import CHEXPERT

_METADATA: Final = (
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
_VIEW_CODE: Final = {"PA": "postero-anterior", "AP": "antero-posterior", "LATERAL": "lateral"}


def write_mimic_cxr_jpg(out: Path, studies: Sequence[Study], seed: int) -> None:
    """Write metadata, split, CheXpert, NegBio and the radiologist's test labels."""
    metadata, split = [], []
    for study in studies:
        for image in study.images:
            plan = image.plan
            random = np.random.default_rng([seed, 3, plan.index])
            what = "CHEST (PORTABLE AP)" if plan.view == "AP" else "CHEST (PA AND LAT)"
            blank = random.random() < 0.02
            date = 21500101 + (study.number * 7) % 28 + 100 * (study.number % 12)
            time = f"{int(random.integers(0, 24)):02d}{int(random.integers(0, 60)):02d}31.25"
            metadata.append((
                image.dicom_id, image.subject_id, image.study_id, what,
                "" if blank else plan.view, plan.height, plan.width, date, time.lstrip("0"), what,
                _VIEW_CODE[plan.view], "Recumbent" if plan.view == "AP" else "Erect",
            ))  # fmt: skip
            split.append((image.dicom_id, image.study_id, image.subject_id, study.split))
    order = np.random.default_rng([seed, 4]).permutation(len(metadata))
    write_csv(out / "mimic-cxr-2.0.0-metadata.csv.gz", _METADATA, [metadata[k] for k in order])
    write_csv(
        out / "mimic-cxr-2.0.0-split.csv.gz", ("dicom_id", "study_id", "subject_id", "split"), split
    )
    chexpert: list[tuple[Any, ...]] = []
    negbio: list[tuple[Any, ...]] = []
    radiologist: list[tuple[Any, ...]] = []
    for study in studies:
        random = np.random.default_rng([seed, 5, study.number])
        dice, blank = random.random(), random.random() < 0.01
        if dice < 0.03:
            continue  # a study with no label row
        stated = {} if blank else study.labels
        head = (study.subject_id, study.study_id)
        chexpert.append((*head, *_cells(stated)))
        other = {k: v for k, v in stated.items() if random.random() < 0.95}
        for name, value in other.items():
            if value == 1.0 and random.random() < 0.03:
                other[name] = -1.0  # the two labelers disagree
        negbio.append((*head, *_cells(other)))
        if study.split == "test" and (random.random() < 0.5 or not radiologist):
            full = {name: study.labels.get(name, 0.0) for name in CHEXPERT}
            radiologist.append((study.study_id, *_cells(full)))
    columns = ("subject_id", "study_id", *CHEXPERT)
    write_csv(out / "mimic-cxr-2.0.0-chexpert.csv.gz", columns, chexpert)
    write_csv(out / "mimic-cxr-2.0.0-negbio.csv.gz", columns, negbio)
    renamed = ["Airspace Opacity" if name == "Lung Opacity" else name for name in CHEXPERT]
    write_csv(out / "mimic-cxr-2.1.0-test-set-labeled.csv", ("study_id", *renamed), radiologist)


def write_mimic_cxr(out: Path, studies: Sequence[Study]) -> None:
    """Write the record list, the study list and the zipped reports."""
    images = [image for study in studies for image in study.images]
    write_csv(
        out / "cxr-record-list.csv.gz",
        ("subject_id", "study_id", "dicom_id", "path"),
        [(i.subject_id, i.study_id, i.dicom_id, i.path.replace(".jpg", ".dcm")) for i in images],
    )
    paths = {s.study_id: f"{s.images[0].folder}/s{s.study_id}.txt" for s in studies}
    write_csv(
        out / "cxr-study-list.csv.gz",
        ("subject_id", "study_id", "path"),
        [(s.subject_id, s.study_id, paths[s.study_id]) for s in studies],
    )
    write_zip(
        out / "mimic-cxr-reports.zip",
        {paths[s.study_id]: s.report.encode() for s in studies},
    )


def _cells(labels: dict[str, float]) -> list[str]:
    return [f"{labels[name]:.1f}" if name in labels else "" for name in CHEXPERT]
