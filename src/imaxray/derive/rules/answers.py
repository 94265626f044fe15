"""Rules that read questions with their answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from imaxray.clinical import answered
from imaxray.derive.facts.fact import Fact, labels_fact, plain, question
from imaxray.derive.facts.questions import understood
from imaxray.derive.rules.reports import BOTH, with_companions
from imaxray.derive.rules.rule import Conclusion, DerivationRule, Habits, Known
from imaxray.tasks._shared.wording import named, sides

_NOTHING: Final = frozenset({"none", "no", "nowhere", ""})


def _answer_label(known: Known, _habits: Habits) -> Iterator[Conclusion]:
    for fact in known.of("qa"):
        asks = understood(fact.text)
        only = plain(fact.answers[0]) if len(fact.answers) == 1 else ""
        if asks is None:
            said = answered(fact.text, only)
            if said is not None:
                yield Conclusion(Fact("label", said[0], float(said[1])), (fact,), (said[0],))
        elif asks.kind in ("presence", "sided") and only in ("yes", "no"):
            denies = only == "no"
            # "no" for one lung says nothing of the other, and for a part of a label nothing of it
            if not denies or (asks.kind == "presence" and asks.whole):
                yield Conclusion(
                    Fact("label", asks.label, float(not denies)), (fact,), (asks.label,)
                )
        elif asks.kind == "where":
            nothing = {plain(answer) for answer in fact.answers} <= _NOTHING
            if not nothing or asks.whole:
                yield Conclusion(
                    Fact("label", asks.label, float(not nothing)), (fact,), (asks.label,)
                )
        elif asks.kind == "what":
            for answer in fact.answers:
                for label in sorted(named(answer)):
                    yield Conclusion(Fact("label", label, 1.0), (fact,), (label,))


def _listed(fact: Fact) -> set[str] | None:
    """Return the labels that the answer to "what abnormalities …?" lists, or ``None``."""
    asks = understood(fact.text)
    if asks is None or asks.kind != "what":
        return None
    found: set[str] = set()
    for answer in fact.answers:
        labels = named(answer)
        if not labels and plain(answer) not in _NOTHING:
            return None  # an abnormality that is no label of ours
        found |= labels
    return found


def _answer_findings(known: Known, habits: Habits) -> Iterator[Conclusion]:
    for fact in known.of("qa"):
        found = _listed(fact)
        if found is None:
            continue
        present = with_companions(dict.fromkeys(sorted(found), 1), habits)
        absent = {label: 0 for label in habits.questions.listed_labels() if label not in present}
        labels = {**present, **absent}
        if not found:
            labels["No Finding"] = 1
        yield Conclusion(labels_fact(labels), (fact,))


def _answer_denies(known: Known, habits: Habits) -> Iterator[Conclusion]:
    for fact in known.of("qa"):
        found = _listed(fact)
        if found is None:
            continue
        for label in habits.questions.listed_labels():
            if label not in found:
                yield Conclusion(Fact("label", label, 0.0), (fact,), (label,))


def _where_side(known: Known, habits: Habits) -> Iterator[Conclusion]:
    for fact in known.of("qa"):
        asks = understood(fact.text)
        if asks is None or asks.kind != "where" or not fact.answers:
            continue
        said = [sides(answer) for answer in fact.answers]
        if any(not some for some in said):
            continue
        there = frozenset().union(*said)
        for place in BOTH:
            text = habits.questions.sided(known.about.image_id, asks.label, place)
            if text is not None:
                answer = "yes" if place.split()[0] in there else "no"
                yield Conclusion(question(text, (answer,)), (fact,), (asks.label,))


RULES: Final = (
    DerivationRule(
        name="answer-label",
        says="An answer affirms the finding that its question names, or denies it if it says no of "
        "the whole image.",
        reads=("qa",),
        makes=("label",),
        kind="exact",
        source="Convention: “no” for one lung says nothing of the other",
        conclude=_answer_label,
        clinical="question-label",
    ),
    DerivationRule(
        name="answer-denies",
        says="A finding that the answer to “what abnormalities are seen?” leaves out is absent.",
        reads=("qa",),
        makes=("label",),
        kind="calibrated",
        source="Questions of MIMIC-Ext-MIMIC-CXR-VQA (Bae et al. 2023), whose answers are complete",
        conclude=_answer_denies,
        scope="releases whose answers list all abnormalities; labels that some answer lists",
        default="if-measured",
    ),
    DerivationRule(
        name="answer-findings",
        says="The answer to “what abnormalities are seen?” is the list of findings.",
        reads=("qa",),
        makes=("findings",),
        kind="calibrated",
        source="Questions of MIMIC-Ext-MIMIC-CXR-VQA (Bae et al. 2023), whose answers are complete",
        conclude=_answer_findings,
        scope="releases whose answers list all abnormalities",
        default="if-measured",
    ),
    DerivationRule(
        name="where-side",
        says="A finding is on the sides that the answer to where it is names, and on no other.",
        reads=("qa",),
        makes=("qa",),
        kind="exact",
        source="Questions of MIMIC-Ext-MIMIC-CXR-VQA (Bae et al. 2023)",
        conclude=_where_side,
    ),
)
