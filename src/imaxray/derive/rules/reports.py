"""Rules that read a report: its findings, the grade of edema, and the sides that it names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from imaxray.derive.facts.fact import Fact, labels_fact, question
from imaxray.derive.rules.rule import Conclusion, DerivationRule, Habits, Known
from imaxray.labeller import image_labels, mentions, shown
from imaxray.labeller.edema import edema_grade
from imaxray.schema import SECTIONS

_LABELLER: Final = "Irvin et al. 2019, AAAI (CheXpert); the labeller is our own"
_NO_FINDING: Final = "No Finding"
PLACES: Final = {
    "left": ("left lung",),
    "right": ("right lung",),
    "both": ("left lung", "right lung"),
}
BOTH: Final = ("left lung", "right lung")


def report_of(known: Known) -> tuple[str, tuple[Fact, ...]]:
    """Return the text of what the report shows, section by section, and the facts that hold it."""
    sections = sorted(known.of("report"), key=lambda fact: SECTIONS.index(fact.name))
    text = "\n".join(fact.text for fact in sections)
    return shown(text), tuple(sections)


@lru_cache(maxsize=20_000)
def _places(text: str) -> dict[str, tuple[str, ...]]:
    """Return the places of each finding that the text affirms and whose side it always names."""
    sides: dict[str, set[str]] = {}
    doubtful = set()
    for mention in mentions(text):
        if mention.value == 0:
            continue
        # "left effusion … the effusions are larger" does not say that the right side has none
        if mention.value == -1 or mention.side is None:
            doubtful.add(mention.label)
        else:
            sides.setdefault(mention.label, set()).update(PLACES[mention.side])
    return {
        label: tuple(sorted(places))
        for label, places in sorted(sides.items())
        if label not in doubtful
    }


def _report_label(known: Known, _habits: Habits) -> Iterator[Conclusion]:
    text, premises = report_of(known)
    if not premises:
        return
    for label, value in image_labels(text).items():
        yield Conclusion(Fact("label", label, float(value)), premises, (label,))


def _report_findings(known: Known, habits: Habits) -> Iterator[Conclusion]:
    text, premises = report_of(known)
    labels = image_labels(text) if premises else {}
    if labels:
        present = tuple(sorted(label for label, value in labels.items() if value != 0))
        yield Conclusion(labels_fact(with_companions(labels, habits)), premises, present)


def with_companions(labels: dict[str, int], habits: Habits) -> dict[str, int]:
    """Return labels with those that the dataset's lists name wherever they name one of them.

    What is said of a label itself stands, also if it is denied or doubted.
    """
    more = {
        other: 1
        for label, value in labels.items()
        if value == 1
        for other in habits.companions.get(label, ())
    }
    return {**more, **labels}


def _report_silence(known: Known, habits: Habits) -> Iterator[Conclusion]:
    text, premises = report_of(known)
    if not premises:
        return
    said = image_labels(text)
    for label in sorted(habits.usual - set(said)):
        if label != _NO_FINDING:
            yield Conclusion(Fact("label", label, 0.0), premises, (label,))


def _report_grade(known: Known, _habits: Habits) -> Iterator[Conclusion]:
    text, premises = report_of(known)
    grade = edema_grade(text) if premises else None
    if grade is not None:
        yield Conclusion(Fact("grade", "edema", float(grade)), premises, (str(grade),))


def _report_where(known: Known, habits: Habits) -> Iterator[Conclusion]:
    text, premises = report_of(known)
    if not premises:
        return
    for label, places in _places(text).items():
        asked = habits.questions.where(known.about.image_id, label)
        if asked is not None:
            yield Conclusion(question(asked, places, closed=False), premises, (label,))


def _report_side(known: Known, habits: Habits) -> Iterator[Conclusion]:
    text, premises = report_of(known)
    if not premises:
        return
    for label, places in _places(text).items():
        for place in BOTH:
            asked = habits.questions.sided(known.about.image_id, label, place)
            if asked is not None:
                answer = "yes" if place in places else "no"
                yield Conclusion(question(asked, (answer,)), premises, (label,))


RULES: Final = (
    DerivationRule(
        name="report-label",
        says="What a report affirms, denies or doubts is the label of the finding.",
        reads=("report",),
        makes=("label",),
        kind="calibrated",
        source=_LABELLER,
        conclude=_report_label,
        scope="reports in English; uncertain is -1, and what is not mentioned stays unknown",
    ),
    DerivationRule(
        name="report-findings",
        says="The findings that a report affirms are all the findings of the image.",
        reads=("report",),
        makes=("findings",),
        kind="calibrated",
        source=_LABELLER,
        conclude=_report_findings,
        scope="reports in English",
    ),
    DerivationRule(
        name="report-silence",
        says="A finding that a report does not mention is absent.",
        reads=("report",),
        makes=("label",),
        kind="calibrated",
        source="Convention of the zeros policy (Irvin et al. 2019); by default unknown is never "
        "negative",
        conclude=_report_silence,
        scope="releases whose lists of findings usually state the label",
        default="if-measured",
    ),
    DerivationRule(
        name="report-grade",
        says="The words of a report for edema give its grade.",
        reads=("report",),
        makes=("grade",),
        kind="calibrated",
        source="Horng et al. 2021, Radiology: Artificial Intelligence 3(2):e190228",
        conclude=_report_grade,
        scope="reports in English; edema without its kind has no grade",
    ),
    DerivationRule(
        name="report-where",
        says="The sides that a report names for a finding are the answer to where it is.",
        reads=("report",),
        makes=("qa",),
        kind="calibrated",
        source="Questions of MIMIC-Ext-MIMIC-CXR-VQA (Bae et al. 2023)",
        conclude=_report_where,
        scope="releases whose answers name lungs; findings whose every mention names a side",
    ),
    DerivationRule(
        name="report-side",
        says="A finding that a report places on one side is there, and not on the other side.",
        reads=("report",),
        makes=("qa",),
        kind="calibrated",
        source="Questions of MIMIC-Ext-MIMIC-CXR-VQA (Bae et al. 2023)",
        conclude=_report_side,
        scope="releases whose questions name lungs; findings whose every mention names a side",
    ),
)
