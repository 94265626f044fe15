"""Rules that read questions with their answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from imaxray.clinical import answered
from imaxray.derive.facts.fact import Fact, labels_fact, plain, question
from imaxray.derive.facts.questions import understood
from imaxray.derive.rules.reports import BOTH, with_companions
from imaxray.derive.rules.rule import Conclusion, DerivationRule, Habits, Known
from imaxray.labeller import mentions
from imaxray.tasks._shared.wording import is_nowhere, named, sides

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
            nowhere = is_nowhere(fact.answers)
            if nowhere is False or (nowhere and asks.whole):
                yield Conclusion(
                    Fact("label", asks.label, float(not nowhere)), (fact,), (asks.label,)
                )
        elif asks.kind == "what":
            for answer in fact.answers:
                for label in sorted(_affirmed(answer)):
                    yield Conclusion(Fact("label", label, 1.0), (fact,), (label,))


def _affirmed(answer: str) -> set[str]:
    """Return the labels that an answer plainly names: "possible pneumonia" is no pneumonia."""
    return {mention.label for mention in mentions(answer) if mention.value == 1}


def _listed(fact: Fact) -> set[str] | None:
    """Return the labels that the answer to "what abnormalities …?" lists, or ``None``."""
    asks = understood(fact.text)
    if asks is None or asks.kind != "what":
        return None
    found: set[str] = set()
    for answer in fact.answers:
        labels = _affirmed(answer)
        if labels != named(answer) or (not labels and plain(answer) not in _NOTHING):
            return None  # a doubtful one, or an abnormality that is no label of ours
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


_PLAIN_PLACE: Final = re.compile(
    r"(?:(?:in|on|the|and|of|both|left|right|bilateral(?:ly)?|lungs?|side|upper|mid|middle|lower"
    r"|lobes?|zones?|bases?|basal|basilar|bibasilar|apex|apical|biapical|hemithorax|costophrenic"
    r"|angles?|pleural|space)\b[ ,/-]*)+",
    re.IGNORECASE,
)
"""Answers that name places and nothing else; "mainly left" does not say that the right has none."""


def _where_side(known: Known, habits: Habits) -> Iterator[Conclusion]:
    for fact in known.of("qa"):
        asks = understood(fact.text)
        if asks is None or asks.kind != "where" or is_nowhere(fact.answers) is not False:
            continue
        said = [sides(answer) for answer in fact.answers]
        if any(not some for some in said):
            continue
        there = frozenset().union(*said)
        # what is no part of the left lung may, as another kind of the label, be there all the same
        only = asks.whole and all(_PLAIN_PLACE.fullmatch(answer) for answer in fact.answers)
        for place in BOTH:
            text = habits.questions.sided(known.about.image_id, asks.label, place)
            present = place.split()[0] in there
            if text is not None and (present or only):
                answer = "yes" if present else "no"
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
