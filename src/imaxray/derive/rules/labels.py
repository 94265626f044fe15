"""Rules that read labels and lists of findings, and the view of the image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from imaxray.derive.facts.fact import Fact, question
from imaxray.derive.rules.rule import Conclusion, DerivationRule, Habits, Known

_NO_FINDING: Final = "No Finding"
_QUESTIONS: Final = "Questions of MIMIC-Ext-MIMIC-CXR-VQA (Bae et al. 2023)"


def _label_question(known: Known, habits: Habits) -> Iterator[Conclusion]:
    for fact in known.of("label"):
        if fact.name == _NO_FINDING or fact.value not in (0.0, 1.0):
            continue
        asked = habits.questions.presence(known.about.image_id, fact.name)
        if asked is not None:
            answer = "yes" if fact.value else "no"
            yield Conclusion(question(asked, (answer,)), (fact,), (fact.name,))


def _findings_question(known: Known, habits: Habits) -> Iterator[Conclusion]:
    for fact in known.of("findings"):
        labels = dict(fact.labels)
        words = habits.questions
        present = [label for label in words.listed_labels() if labels.get(label) == 1]
        doubtful = any(labels.get(label) == -1 for label in words.listed_labels())
        # an uncertain label would be named by some readers, and a finding without words by none
        others = [label for label, value in labels.items() if value == 1 and label not in present]
        if doubtful or (not present and others and others != [_NO_FINDING]):
            continue
        names = tuple(sorted({words.listed_name(label) or label for label in present}))
        asked = question(words.what(known.about.image_id), names, closed=False)
        yield Conclusion(asked, (fact,))


def _findings_silence(known: Known, habits: Habits) -> Iterator[Conclusion]:
    for fact in known.of("findings"):
        said = dict(fact.labels)
        for label in sorted(habits.questions.names):
            if label not in said and label != _NO_FINDING:
                yield Conclusion(Fact("label", label, 0.0), (fact,), (label,))


def _view_question(known: Known, habits: Habits) -> Iterator[Conclusion]:
    view = known.about.view
    if view in ("PA", "AP") and len(habits.views & {"PA", "AP"}) == 2:
        words = habits.questions
        answer = (words.view_answer(view),)
        yield Conclusion(question(words.view(known.about.image_id), answer), ())


RULES: Final = (
    DerivationRule(
        name="label-question",
        says="A label answers the question whether its finding is present.",
        reads=("label",),
        makes=("qa",),
        kind="exact",
        source=_QUESTIONS,
        conclude=_label_question,
        scope="all releases; uncertain and unknown labels answer nothing",
    ),
    DerivationRule(
        name="findings-question",
        says="A list of findings answers the question which abnormalities are seen.",
        reads=("findings",),
        makes=("qa",),
        kind="calibrated",
        source=_QUESTIONS,
        conclude=_findings_question,
        scope="releases whose answers list abnormalities; lists with an uncertain label are left "
        "out",
    ),
    DerivationRule(
        name="findings-silence",
        says="A finding that questions name, and that a list of findings leaves out, is absent.",
        reads=("findings",),
        makes=("label",),
        kind="calibrated",
        source="Convention of the zeros policy (Irvin et al. 2019); by default unknown is never "
        "negative",
        conclude=_findings_silence,
        scope="releases whose lists of findings are complete",
        default="if-measured",
    ),
    DerivationRule(
        name="view-question",
        says="The view of the image answers the question which view it is.",
        reads=(),
        makes=("qa",),
        kind="exact",
        source=_QUESTIONS,
        conclude=_view_question,
        scope="datasets with PA and AP images",
    ),
)
