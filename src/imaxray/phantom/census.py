"""Draws patients, studies and images at the scale of MIMIC-CXR, in exactly the published counts.

The census is drawn as arrays, before any image is planned. The published counts are those of
MIMIC-CXR-JPG 2.1.0, cxr-cardiomegaly 1.0.0, mimic-cxr-pe-severity 1.0.1, MS-CXR 1.1.0, Chest
ImaGenome 1.0.0 and MIMIC-Ext-MIMIC-CXR-VQA 1.0.0. There are 243,334 frontal images, which leaves
133,776 laterals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaxray.errors import ImaxrayError

PATIENTS: Final = 65_379
STUDIES: Final = 227_835
IMAGES: Final = 377_110
FRONTALS: Final = 243_334
PA: Final = 96_161
TEST_PATIENTS: Final = 293
VALIDATE_PATIENTS: Final = 500
UNLABELLED_STUDIES: Final = 8
RADIOLOGIST_STUDIES: Final = 687
GRADED_STUDIES: Final = 6_710
EXPERT_STUDIES: Final = 485
CONSENSUS_IMAGES: Final = 141
SCENE_GRAPHS: Final = 240_000
GOLD_PATIENTS: Final = 500
MS_CXR_IMAGES: Final = 1_047
QUESTIONED_IMAGES: Final = 142_797
QUESTIONS: Final = 377_391

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Census:
    """Holds each patient, study and image as one element of an array; images are in study order.

    Attributes:
        study_patient: Patient number of each study.
        study_grade: Edema grades of each study: 0 none, 1 regex, 2 regex and expert, 3 regex and
            consensus.
        study_labelled: Whether each study has a row of labels.
        study_radiologist: Whether each study has the radiologist's labels.
        patient_split: Official split of each patient: 0 train, 1 validate, 2 test.
        patient_gold: Whether each patient is in Chest ImaGenome's gold set.
        patient_genome: Chest ImaGenome's own split of each patient, which is independent of
            MIMIC's: 0 train, 1 valid, 2 test.
        image_study: Study number of each image.
        image_view: View of each image: 0 PA, 1 AP, 2 lateral.
        image_graph: Whether Chest ImaGenome lists each image; frontal images only.
        image_grounded: Whether each image is a candidate for MS-CXR.
        image_questions: Number of questions about each image.
    """

    study_patient: Ints
    study_grade: Ints
    study_labelled: Flags
    study_radiologist: Flags
    patient_split: Ints
    patient_gold: Flags
    patient_genome: Ints
    image_study: Ints
    image_view: Ints
    image_graph: Flags
    image_grounded: Flags
    image_questions: Ints

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len(self.patient_split)

    @property
    def studies(self) -> int:
        """Number of studies."""
        return len(self.study_patient)

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.image_study)


def draw_census(times: float, seed: int) -> Census:
    """Draw a census in which each count is the published count multiplied by ``times``.

    Args:
        times: Size relative to MIMIC-CXR.
        seed: Seed of all draws.

    Raises:
        ImaxrayError: ``times`` is so small that a release would be empty.
    """
    if times < 0.002:
        raise ImaxrayError(
            f"Expected a scale of at least 0.002 of MIMIC-CXR, but got {times}; use a larger one."
        )
    random = np.random.default_rng([seed, 20])

    def count(number: int) -> int:
        return max(1, round(number * times))

    patients, studies = count(PATIENTS), count(STUDIES)
    # a few patients have very many studies, as in any hospital
    weight = random.gamma(0.7, size=patients)
    extra = random.multinomial(studies - patients, weight / weight.sum())
    study_patient = np.repeat(np.arange(patients), 1 + extra)
    split = np.zeros(patients, dtype=np.int64)
    drawn = random.permutation(patients)
    test, validate = count(TEST_PATIENTS), count(VALIDATE_PATIENTS)
    split[drawn[:test]], split[drawn[test : test + validate]] = 2, 1
    gold = np.zeros(patients, dtype=bool)
    gold[random.permutation(patients)[: count(GOLD_PATIENTS)]] = True
    genome = np.searchsorted([0.70, 0.80], random.random(patients)).astype(np.int64)
    view, image_study = _views(count(FRONTALS), count(PA), count(IMAGES), studies, random)
    frontal = np.flatnonzero(view < 2)
    graded = _graded(study_patient, image_study[frontal], count(GRADED_STUDIES), random)
    grade = np.zeros(studies, dtype=np.int64)
    grade[graded] = 1
    special = random.permutation(graded)
    expert, consensus = count(EXPERT_STUDIES), count(CONSENSUS_IMAGES)
    grade[special[:expert]], grade[special[expert : expert + consensus]] = 2, 3
    labelled = np.ones(studies, dtype=bool)
    labelled[random.permutation(studies)[: count(UNLABELLED_STUDIES)]] = False
    tested = random.permutation(np.flatnonzero(split[study_patient] == 2))
    radiologist = np.zeros(studies, dtype=bool)
    radiologist[tested[: count(RADIOLOGIST_STUDIES)]] = True
    total = len(view)

    def some(number: int) -> Flags:
        flags = np.zeros(total, dtype=bool)
        flags[random.permutation(frontal)[:number]] = True
        return flags

    questions = np.zeros(total, dtype=np.int64)
    asked = np.flatnonzero(some(count(QUESTIONED_IMAGES)))
    # two questions per image, and the rest at random: 2.64 per image on average
    rest = count(QUESTIONS) - 2 * len(asked)
    questions[asked] = 2 + np.bincount(
        random.integers(len(asked), size=max(0, rest)), minlength=len(asked)
    )
    return Census(
        study_patient=study_patient,
        study_grade=grade,
        study_labelled=labelled,
        study_radiologist=radiologist & labelled,
        patient_split=split,
        patient_gold=gold,
        patient_genome=genome,
        image_study=image_study,
        image_view=view,
        image_graph=some(min(len(frontal), count(SCENE_GRAPHS))),
        # twice as many: images without a finding that can be located are dropped later
        image_grounded=some(count(2 * MS_CXR_IMAGES)),
        image_questions=questions,
    )


def _views(
    frontals: int, pa: int, images: int, studies: int, random: np.random.Generator
) -> tuple[Ints, Ints]:
    """Draw view and study of each image, in study order; a study is PA or AP as a whole."""
    with_frontal = random.permutation(studies)[: round(0.98 * studies)]
    again = random.choice(with_frontal, frontals - len(with_frontal))
    frontal_study = np.concatenate([with_frontal, again])
    # in random order, the first studies are upright, until the number of PA images is reached
    upright = random.random(studies)[frontal_study]
    view = np.ones(frontals, dtype=np.int64)
    view[np.argsort(upright, kind="stable")[:pa]] = 0
    bare = np.setdiff1d(np.arange(studies), with_frontal)
    standing = frontal_study[view == 0]
    laterals = images - frontals - len(bare)
    lateral_study = np.concatenate([bare, random.choice(standing, laterals)])
    study = np.concatenate([frontal_study, lateral_study])
    views = np.concatenate([view, np.full(len(lateral_study), 2)])
    order = np.lexsort((views, study))
    return views[order], study[order]


def _graded(
    study_patient: Ints, frontal_study: Ints, number: int, random: np.random.Generator
) -> Ints:
    """Draw studies with a frontal image, patient by patient, like a heart failure cohort."""
    has = np.unique(frontal_study)
    place = random.permutation(int(study_patient.max()) + 1)[study_patient[has]]
    return has[np.argsort(place, kind="stable")[:number]]
