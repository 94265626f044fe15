"""Edema grades (mimic-cxr-pe-severity 1.0.1) and ratios (cxr-cardiomegaly 1.0.0)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imaxray.phantom.records import Study
from imaxray.phantom.releases._files import write_csv


def write_pe_severity(out: Path, studies: Sequence[Study], seed: int) -> None:
    """Write the regex, expert and consensus files; the latter two are also in the first."""
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
        # small cohorts too have one study of each kind
        if dice < 0.03 or not consensus:
            consensus.append((*head, study.frontals[0].dicom_id, grade))
        elif dice < 0.06 or not expert:
            expert.append((*head, grade))
        # the regex reads one study in ten of those differently
        wrong = dice < 0.06 and random.random() < 0.1
        regex.append((*head, min(3, max(0, grade + (1 if grade < 2 else -1))) if wrong else grade))
    columns = ("subject_id", "study_id", "edema_severity")
    write_csv(out / "regex_report_edema_severity.csv", columns, regex)
    write_csv(out / "expert_report_edema_severity.csv", columns, expert)
    write_csv(
        out / "consensus_image_edema_severity.csv",
        ("subject_id", "study_id", "dicom_id", "edema_severity"),
        consensus,
    )
    write_csv(
        out / "auxiliary_metadata" / "mimic_cxr_metadata_available_CHF_view.csv",
        ("subject_id", "study_id", "dicom_id", "view"),
        cohort,
    )


def write_cardiomegaly(out: Path, studies: Sequence[Study], seed: int) -> None:
    """Write CTRs.csv and CPARs.csv: PA images only, machine noise, sentinels 2, 3, 4."""
    ctrs, cpars = [], []
    for study in studies:
        for image in study.images:
            if image.plan.view != "PA" or image.ctr is None or image.cpar is None:
                continue
            random = np.random.default_rng([seed, 7, image.plan.index])
            noise = random.normal(0, 0.002, 2)
            failed = random.random()
            code = float(random.integers(2, 5)) if failed < 0.03 else None
            ctrs.append((image.dicom_id, repr(code or float(image.ctr + noise[0]))))
            cpars.append((image.dicom_id, repr(code or float(image.cpar + noise[1]))))
    write_csv(out / "CTRs.csv", ("dicom_file", "CTR"), ctrs)
    write_csv(out / "CPARs.csv", ("dicom_file", "CPAR"), cpars)
