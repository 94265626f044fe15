"""Rules that read ratios and grades."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from imaxray.derive.facts.fact import Fact, question
from imaxray.derive.rules.rule import Conclusion, DerivationRule, Habits, Known

_HEART: Final = "Cardiomegaly"
_AP_WIDENING: Final = 0.889
"""Width of a heart on a PA film as share of its width on an AP film at 1 m (Chon et al. 2011)."""


def _ratio_label(known: Known, habits: Habits) -> Iterator[Conclusion]:
    rule = habits.clinical["ctr-cardiomegaly"]
    for fact in known.of("measurement", "ctr") if known.about.frontal else ():
        assert fact.value is not None
        # an AP film widens the heart, so that a large ratio of it is that of a smaller heart; a
        # small ratio denies all the more
        large = fact.value if known.about.view == "PA" else fact.value * _AP_WIDENING
        # beyond the margin one of the two labels contradicts the ratio, so the other one holds
        for value, ratio in ((0.0, fact.value), (1.0, large)):
            if rule.contradicts(ratio, 1.0 - value):
                yield Conclusion(Fact("label", _HEART, value), (fact,), (f"{value:g}",))


def _ratio_question(known: Known, habits: Habits) -> Iterator[Conclusion]:
    rule = habits.clinical["ctr-question"]
    for fact in known.of("measurement", "ctr") if known.about.frontal else ():
        for value, answer in ((0.0, "no"), (1.0, "yes")):
            if rule.contradicts(fact.value, 1.0 - value):
                asked = habits.questions.wider(known.about.image_id)
                yield Conclusion(question(asked, (answer,)), (fact,))


def _heart_question(known: Known, habits: Habits) -> Iterator[Conclusion]:
    for fact in known.of("label", _HEART):
        if fact.value in (0.0, 1.0):
            asked = habits.questions.wider(known.about.image_id)
            answer = "yes" if fact.value else "no"
            yield Conclusion(question(asked, (answer,)), (fact,), (answer,))


def _grade_label(known: Known, habits: Habits) -> Iterator[Conclusion]:
    rule = habits.clinical["edema-grade-label"]
    for fact in known.of("grade", "edema"):
        for value in (0.0, 1.0):
            if rule.contradicts(fact.value, 1.0 - value):
                yield Conclusion(Fact("label", "Edema", value), (fact,), (f"{value:g}",))


def _low_grade_label(known: Known, _habits: Habits) -> Iterator[Conclusion]:
    for fact in known.of("grade", "edema"):
        if fact.value == 1.0:
            yield Conclusion(Fact("label", "Edema", 1.0), (fact,))


def _label_grade(known: Known, _habits: Habits) -> Iterator[Conclusion]:
    for fact in known.of("label", "Edema"):
        if fact.value == 0.0:
            yield Conclusion(Fact("grade", "edema", 0.0), (fact,))


_GRADES: Final = "Horng et al. 2021, Radiology: Artificial Intelligence 3(2):e190228"

RULES: Final = (
    DerivationRule(
        name="ratio-label",
        says="A cardiothoracic ratio above the cut and its margin is Cardiomegaly, and one below "
        "them denies it; a ratio of an AP film is multiplied by 0.889 before it affirms.",
        reads=("measurement",),
        makes=("label",),
        kind="calibrated",
        source="Danzer 1919, Am J Med Sci 157:513; AP: Chon et al. 2011, J Korean Med Sci 26:1446",
        conclude=_ratio_label,
        clinical="ctr-cardiomegaly",
    ),
    DerivationRule(
        name="ratio-question",
        says="The cardiothoracic ratio answers whether the heart is wider than half the chest, "
        "unless it is within the error of a measurement.",
        reads=("measurement",),
        makes=("qa",),
        kind="exact",
        source="Questions of MIMIC-Ext-MIMIC-CXR-VQA (Bae et al. 2023)",
        conclude=_ratio_question,
        clinical="ctr-question",
    ),
    DerivationRule(
        name="heart-question",
        says="Cardiomegaly answers whether the heart is wider than half the chest.",
        reads=("label",),
        makes=("qa",),
        kind="calibrated",
        source="Danzer 1919, Am J Med Sci 157:513",
        conclude=_heart_question,
        default="if-measured",
    ),
    DerivationRule(
        name="grade-label",
        says="Grade 0 denies Edema, and interstitial or alveolar edema is Edema.",
        reads=("grade",),
        makes=("label",),
        kind="exact",
        source=_GRADES,
        conclude=_grade_label,
        clinical="edema-grade-label",
    ),
    DerivationRule(
        name="low-grade-label",
        says="Vascular congestion, grade 1, is Edema.",
        reads=("grade",),
        makes=("label",),
        kind="calibrated",
        source=_GRADES,
        conclude=_low_grade_label,
        scope="releases whose labels count vascular congestion as Edema",
        default="if-measured",
    ),
    DerivationRule(
        name="label-grade",
        says="Edema that is denied has grade 0.",
        reads=("label",),
        makes=("grade",),
        kind="calibrated",
        source=_GRADES,
        conclude=_label_grade,
        default="if-measured",
    ),
)
