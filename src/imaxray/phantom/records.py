"""Holds what is known about each radiograph and its study: ids, ground truth, report, labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from imaxray.boxes import Box
from imaxray.phantom.cohort import Finding, ImagePlan
from imaxray.phantom.reports import sections, write_report

LABEL_OF: Final = {
    "effusion": "Pleural Effusion",
    "consolidation": "Consolidation",
    "nodule": "Lung Lesion",
    "pneumothorax": "Pneumothorax",
    "edema": "Edema",
    "cardiomegaly": "Cardiomegaly",
    "device": "Support Devices",
}
"""CheXpert label that each finding makes positive."""


@dataclass(frozen=True)
class Radiograph:
    """Holds one image of the releases: its plan, its ids and its ground truth."""

    plan: ImagePlan
    subject_id: int
    study_id: int
    dicom_id: str
    ctr: float | None
    cpar: float | None
    regions: dict[str, Box]
    findings: tuple[tuple[Finding, Box | None], ...]

    @property
    def frontal(self) -> bool:
        """Whether the view is PA or AP."""
        return self.plan.view in ("PA", "AP")

    @property
    def path(self) -> str:
        """Path of the image file: ``files/p10/p10000032/s50414267/<dicom>.jpg``."""
        return f"{self.folder}/s{self.study_id}/{self.dicom_id}.jpg"

    @property
    def folder(self) -> str:
        """Folder of the patient: ``files/p10/p10000032``."""
        return f"files/p{str(self.subject_id)[:2]}/p{self.subject_id}"


@dataclass(frozen=True)
class Study:
    """Holds one study: its images, its report and its labels.

    ``labels`` maps labels to 1.0, 0.0 or -1.0; a label that is missing is blank in the tables.
    """

    subject_id: int
    study_id: int
    number: int
    split: str  # the official split: train / validate / test
    images: tuple[Radiograph, ...]
    findings: tuple[Finding, ...]
    labels: dict[str, float]
    report: str
    edema_grade: int

    @property
    def frontals(self) -> tuple[Radiograph, ...]:
        """PA and AP images of the study."""
        return tuple(image for image in self.images if image.frontal)


def ids(plan: ImagePlan, seed: int) -> tuple[int, int, str]:
    """Return subject, study and DICOM id of a plan, in MIMIC's formats."""
    digest = hashlib.blake2b(f"{seed}/{plan.index}".encode(), digest_size=20).hexdigest()
    dicom = "-".join(digest[k : k + 8] for k in range(0, 40, 8))
    return 10_000_032 + 137 * plan.patient, 50_000_017 + 53 * plan.study, dicom


def group_studies(images: Sequence[Radiograph], seed: int) -> list[Study]:
    """Group radiographs into studies and write each study's report and labels."""
    grouped: dict[int, list[Radiograph]] = {}
    for image in images:
        grouped.setdefault(image.study_id, []).append(image)
    return [
        make_study(members, seed, _split(members[0].plan.patient, seed))
        for _, members in sorted(grouped.items())
    ]


def make_study(images: Sequence[Radiograph], seed: int, split: str) -> Study:
    """Write the report and the labels of one study from the plan of its first image."""
    plan = images[0].plan
    random = np.random.default_rng([seed, 1, plan.study])
    uncertain = _uncertain(plan, random)
    body, impression = sections(plan.findings, uncertain, random)
    dice = random.random()
    if dice < 0.04:
        body = ""  # impression only
    elif dice < 0.08:
        impression = ""  # findings only
    report = write_report(
        plan.view,
        body,
        impression,
        sex=plan.habitus.sex,
        random=random,
        addendum=bool(random.random() < 0.02),
    )
    return Study(
        subject_id=images[0].subject_id,
        study_id=images[0].study_id,
        number=plan.study,
        split=split,
        images=tuple(images),
        findings=plan.findings,
        labels=_labels(plan, uncertain, random),
        report=report,
        edema_grade=plan.edema_grade,
    )


def _uncertain(plan: ImagePlan, random: np.random.Generator) -> list[str]:
    names = []
    if plan.ctr > 0.50 and not plan.has("cardiomegaly") and random.random() < 0.7:
        names.append("Cardiomegaly")
    if plan.has("consolidation") and random.random() < 0.5:
        names.append("Pneumonia")
    return names


def _labels(
    plan: ImagePlan, uncertain: Sequence[str], random: np.random.Generator
) -> dict[str, float]:
    labels: dict[str, float] = dict.fromkeys(uncertain, -1.0)
    for kind, label in LABEL_OF.items():
        if plan.has(kind):  # type: ignore[arg-type]
            labels[label] = 1.0
        elif label not in labels and label != "Support Devices" and random.random() < 0.85:
            labels[label] = 0.0
    if plan.has("consolidation"):
        labels["Lung Opacity"] = 1.0
    if not {f.kind for f in plan.findings} - {"device"} and not uncertain:
        labels["No Finding"] = 1.0
    return labels


def _split(patient: int, seed: int) -> str:
    # the first patients cover all splits, so that no file of a small cohort is empty
    fixed = {1: "test", 2: "validate", 3: "test"}
    if patient in fixed:
        return fixed[patient]
    share = np.random.default_rng([seed, 2, patient]).random()
    return "train" if share < 0.82 else "validate" if share < 0.86 else "test"
