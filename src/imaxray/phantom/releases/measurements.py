"""Writes edema grades (mimic-cxr-pe-severity 1.0.1) and ratios (cxr-cardiomegaly 1.0.0)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from imaxray.phantom.records import Radiograph, Study
from imaxray.phantom.releases.files import write_csv

GRADES: Final = ("subject_id", "study_id", "edema_severity")
CONSENSUS: Final = ("subject_id", "study_id", "dicom_id", "edema_severity")
COHORT: Final = ("subject_id", "study_id", "dicom_id", "view")
CTRS: Final = ("dicom_file", "CTR")
CPARS: Final = ("dicom_file", "CPAR")


def write_pe_severity(out: Path, studies: Sequence[Study], seed: int) -> None:
    """Write the regex, expert and consensus files; the regex file has the studies of all three."""
    regex: list[tuple[int, ...]] = []
    expert: list[tuple[int, ...]] = []
    consensus: list[tuple[Any, ...]] = []
    cohort: list[tuple[Any, ...]] = []
    for study in studies:
        random = np.random.default_rng([seed, 6, study.number])
        dice = random.random()
        if not study.frontals or dice > 0.62:
            continue
        head = (study.subject_id, study.study_id)
        cohort += [(*head, image.dicom_id, "frontal") for image in study.frontals]
        grade = study.edema_grade
        # even a small cohort has one study of each kind
        if dice < 0.03 or not consensus:
            consensus.append((*head, study.frontals[0].dicom_id, grade))
        elif dice < 0.06 or not expert:
            expert.append((*head, grade))
        # the regex misreads one in ten of the studies with an expert or consensus grade
        wrong = dice < 0.06 and random.random() < 0.1
        regex.append((*head, misread(grade) if wrong else grade))
    write_csv(out / "regex_report_edema_severity.csv", GRADES, regex)
    write_csv(out / "expert_report_edema_severity.csv", GRADES, expert)
    write_csv(out / "consensus_image_edema_severity.csv", CONSENSUS, consensus)
    write_csv(
        out / "auxiliary_metadata" / "mimic_cxr_metadata_available_CHF_view.csv", COHORT, cohort
    )


def misread(grade: int) -> int:
    """Return a neighbouring grade, as a regex may read it from a report."""
    return min(3, max(0, grade + (1 if grade < 2 else -1)))


def write_cardiomegaly(out: Path, studies: Sequence[Study], seed: int) -> None:
    """Write CTRs.csv and CPARs.csv for PA images, with measurement noise and sentinels 2, 3, 4."""
    rows = [
        ratio_rows(image, seed)
        for study in studies
        for image in study.images
        if image.plan.view == "PA" and image.ctr is not None
    ]
    write_csv(out / "CTRs.csv", CTRS, [ctr for ctr, _ in rows])
    write_csv(out / "CPARs.csv", CPARS, [cpar for _, cpar in rows])


def ratio_rows(image: Radiograph, seed: int) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the rows of CTRs.csv and CPARs.csv for one image."""
    if image.ctr is None or image.cpar is None:
        raise ValueError(f"{image.dicom_id} is a lateral and has no ratios")
    random = np.random.default_rng([seed, 7, image.plan.index])
    noise = random.normal(0, 0.002, 2)
    failed = random.random()
    code = float(random.integers(2, 5)) if failed < 0.03 else None
    return (
        (image.dicom_id, repr(code or float(image.ctr + noise[0]))),
        (image.dicom_id, repr(code or float(image.cpar + noise[1]))),
    )
