"""Defines each clinical rule: its thresholds, their source, and the cases built from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from imaxray.clinical.cases import Bounds, Case
from imaxray.clinical.rule import Cases, ClinicalRule

_ABSENT: Final = Bounds(equals=0)
_PRESENT: Final = Bounds(equals=1)


def _ratio_misses(given: Mapping[str, float]) -> tuple[Case, ...]:
    """Return the cases where a ratio is on the wrong side of the cut by more than the margin."""
    cut, margin = given["cut"], given["margin"]
    return (
        Case(first=Bounds(below=cut - margin), second=_PRESENT),
        Case(first=Bounds(above=cut + margin), second=_ABSENT),
    )


def _ctr_cardiomegaly(given: Mapping[str, float]) -> Cases:
    cut = given["cut"]
    return Cases(
        _ratio_misses(given),
        (
            Case(first=Bounds(at_least=cut), second=_PRESENT),
            Case(first=Bounds(below=cut), second=_ABSENT),
        ),
    )


def _ctr_question(given: Mapping[str, float]) -> Cases:
    cut = given["cut"]
    return Cases(
        _ratio_misses(given),
        (
            Case(first=Bounds(at_least=cut), second=_PRESENT),
            Case(first=Bounds(at_most=cut), second=_ABSENT),  # one half is not wider than half
        ),
    )


def _edema_grade_label(given: Mapping[str, float]) -> Cases:
    return Cases(
        (
            Case(first=Bounds(equals=0), second=_PRESENT),
            Case(first=Bounds(at_least=given["grade"]), second=_ABSENT),
        ),
        (
            Case(first=Bounds(at_least=1), second=_PRESENT),
            Case(first=Bounds(equals=0), second=_ABSENT),
        ),
    )


def _same_finding(_given: Mapping[str, float]) -> Cases:
    return Cases((Case(values="different"),), (Case(values="same"),))


def _region_label(_given: Mapping[str, float]) -> Cases:
    return Cases((Case(second=_ABSENT),), (Case(second=_PRESENT),))


def _question_region(_given: Mapping[str, float]) -> Cases:
    return Cases((Case(first=_ABSENT),), (Case(first=_PRESENT),))


def _reader_boxes(given: Mapping[str, float]) -> Cases:
    return Cases(
        (Case(first=Bounds(below=given["iou"])),), (Case(first=Bounds(at_least=given["iou"])),)
    )


_LABELS: Final = "label values are those of CheXpert (Irvin et al. 2019, AAAI)"
_ABOUT_LABEL: Final = "its label: 1 present, 0 absent"
_ABOUT_ANSWER: Final = "what an answer says of a finding: 1 present, 0 absent"
_LOCATED: Final = "Convention: a finding that somebody located is present"

PREDICATES: Final = (
    ClinicalRule(
        name="ctr-cardiomegaly",
        facts=("cardiothoracic ratio", "Cardiomegaly: 1 present, 0 absent"),
        sentence="Cardiomegaly is stated although the cardiothoracic ratio is below "
        "{cut} − {margin}, or denied although the ratio is above {cut} + {margin}.",
        source="The cut: Danzer 1919, Am J Med Sci 157:513. The margin: convention, because AP "
        "films enlarge the heart and readers disagree near the cut",
        thresholds={"cut": 0.5, "margin": 0.05},
        cases=_ctr_cardiomegaly,
    ),
    ClinicalRule(
        name="ctr-question",
        facts=("cardiothoracic ratio", "“is the heart wider than half the thorax?”: 1 yes, 0 no"),
        sentence="The question whether the heart is wider than half the thorax is answered with "
        "yes although the cardiothoracic ratio is below {cut} − {margin}, or with no although it "
        "is above {cut} + {margin}.",
        source="The cut is the question's own. The margin: convention, for the error of a "
        "measurement",
        thresholds={"cut": 0.5, "margin": 0.02},
        cases=_ctr_question,
    ),
    ClinicalRule(
        name="edema-grade-label",
        facts=("edema grade 0–3", "Edema: 1 present, 0 absent"),
        sentence="Edema is stated although its grade is 0, or denied although its grade is at "
        "least {grade}.",
        source="Grades: Horng et al. 2021, Radiology: Artificial Intelligence 3(2):e190228. "
        "Grade 1 is vascular congestion, which readers may or may not call edema",
        thresholds={"grade": 2},
        cases=_edema_grade_label,
    ),
    ClinicalRule(
        name="report-label",
        facts=("what the report says of a finding: 1 present, 0 absent", _ABOUT_LABEL),
        sentence="The report plainly states a finding that the label denies, or denies one that "
        "the label states.",
        source=f"Convention: only what the labeller reads as plainly said counts; {_LABELS}",
        thresholds={},
        cases=_same_finding,
    ),
    ClinicalRule(
        name="question-label",
        facts=(_ABOUT_ANSWER, _ABOUT_LABEL),
        sentence="The answer to a question about a finding states what the label denies, or "
        "denies what the label states.",
        source=f"Convention: “no” for one lung says nothing of the other; {_LABELS}",
        thresholds={},
        cases=_same_finding,
    ),
    ClinicalRule(
        name="question-region",
        facts=(_ABOUT_ANSWER, "a box of the finding: 1"),
        sentence="The answer to a question denies a finding that has a box.",
        source=_LOCATED,
        thresholds={},
        cases=_question_region,
    ),
    ClinicalRule(
        name="region-label",
        facts=("a box of a finding: 1", _ABOUT_LABEL),
        sentence="A finding has a box although the label of the same name denies it.",
        source=_LOCATED,
        thresholds={},
        cases=_region_label,
    ),
    ClinicalRule(
        name="reader-boxes",
        facts=("highest IoU of a reader's box with the boxes of another reader",),
        sentence="A reader's box has no box of the same finding by another reader with an IoU of "
        "at least {iou}.",
        source="Convention: below that, two boxes share so little that they cannot mean the same "
        "place",
        thresholds={"iou": 0.1},
        cases=_reader_boxes,
        severity="warning",
    ),
)
"""All clinical rules, in the order in which tables show them."""
