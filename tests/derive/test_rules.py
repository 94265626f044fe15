"""Tests what each rule concludes from known facts; every built-in rule has a golden example."""

import pytest

from imaxray.derive import About, Fact, Habits, Known
from imaxray.derive.fact import by_content, labels_fact, question
from imaxray.derive.questions import Questions, understood
from imaxray.derive.rules import BUILT_IN
from imaxray.labeller.edema import edema_grade

RULES = {rule.name: rule for rule in BUILT_IN}
WHERE, SIDE = "Where is the {}?", "Is there {} in the {}?"
WIDER = "Is the width of the cardiac silhouette wider than 1/2 of the thorax width?"
WHAT = "What abnormalities are seen in this image?"
LISTED = {"Edema": "pulmonary edema", "Lung Lesion": "lung nodule"}
HABITS = Habits(
    questions=Questions(names={"Lung Lesion": "lung nodule"}, listed=LISTED, views={"AP": "ap"}),
    companions={"Consolidation": ("Lung Opacity",)},
    usual=frozenset({"Edema", "Fracture"}),
    views=frozenset({"PA", "AP"}),
)
LEFT, HEART = (10.0, 20.0, 30.0, 40.0), (40.0, 50.0, 90.0, 95.0)


def label(name, value):
    return Fact("label", name, float(value))


def report(text, name="findings"):
    return Fact("report", name, text=text)


def rec(text, *boxes, **rest):
    return Fact("rec", text=text, boxes=boxes, **rest)


def reg(text, box, **rest):
    return Fact("reg", text=text, boxes=(box,), **rest)


def yes_no(text, answer):
    return question(text, (answer,))


TEXT = "Small left pleural effusion. No edema. Possible pneumonia."
GOLDEN = {
    "report-label": (
        [report(TEXT)],
        [label("Edema", 0), label("Pleural Effusion", 1), label("Pneumonia", -1)],
    ),
    "report-findings": (
        [report("Consolidation in the right base.")],
        [labels_fact({"Consolidation": 1, "Lung Opacity": 1})],
    ),
    "report-silence": ([report(TEXT)], [label("Fracture", 0)]),
    "report-grade": ([report("Interstitial edema.")], [Fact("grade", "edema", 2.0)]),
    "report-where": (
        [report(TEXT)],
        [question("Where is the pleural effusion?", ("left lung",), closed=False)],
    ),
    "report-side": (
        [report(TEXT)],
        [
            yes_no("Is there pleural effusion in the left lung?", "yes"),
            yes_no("Is there pleural effusion in the right lung?", "no"),
        ],
    ),
    "label-question": (
        [label("Lung Lesion", 1), label("Edema", 0), label("Pneumonia", -1),
         label("No Finding", 1)],
        [yes_no("Is there lung nodule?", "yes"), yes_no("Is there pulmonary edema?", "no")],
    ),
    "findings-question": (
        [labels_fact({"Edema": 1, "Lung Lesion": 0, "Fracture": 1})],
        [question(WHAT, ("pulmonary edema",), closed=False)],
    ),
    "findings-silence": ([labels_fact({"Edema": 1})], [label("Lung Lesion", 0)]),
    "view-question": ([], [yes_no("Is this an AP or a PA image?", "ap")]),
    "answer-label": (
        [
            yes_no("Is there edema?", "no"),
            yes_no("Is there pneumothorax in the left lung?", "yes"),
            yes_no("Is there consolidation in the left lung?", "no"),
            question("Where is the lung nodule?", ("right lung",), closed=False),
            question(WHAT, ("pleural effusion",), closed=False),
        ],
        [label("Edema", 0), label("Pneumothorax", 1), label("Lung Lesion", 1),
         label("Pleural Effusion", 1)],
    ),
    "answer-denies": (
        [question(WHAT, ("lung nodule",), closed=False)], [label("Edema", 0)],
    ),
    "answer-findings": (
        [question(WHAT, (), closed=False)],
        [labels_fact({"Edema": 0, "Lung Lesion": 0, "No Finding": 1})],
    ),
    "where-side": (
        [question("Where is the lung nodule?", ("right lung",), closed=False)],
        [
            yes_no("Is there lung nodule in the left lung?", "no"),
            yes_no("Is there lung nodule in the right lung?", "yes"),
        ],
    ),
    "ratio-label": ([Fact("measurement", "ctr", 0.56)], [label("Cardiomegaly", 1)]),
    "ratio-question": ([Fact("measurement", "ctr", 0.47)], [yes_no(WIDER, "no")]),
    "heart-question": ([label("Cardiomegaly", 1)], [yes_no(WIDER, "yes")]),
    "grade-label": ([Fact("grade", "edema", 0.0)], [label("Edema", 0)]),
    "low-grade-label": ([Fact("grade", "edema", 1.0)], [label("Edema", 1)]),
    "label-grade": ([label("Edema", 0)], [Fact("grade", "edema", 0.0)]),
    "rec-reg": (
        [rec("left lung", LEFT, anatomy=True)], [reg("left lung", LEFT, anatomy=True)],
    ),
    "reg-rec": (
        [reg("nodule", LEFT), reg("nodule", HEART), reg("bilateral effusions", HEART)],
        [rec("nodule", LEFT, HEART)],
    ),
    "region-label": ([rec("left pneumothorax", LEFT)], [label("Pneumothorax", 1)]),
    "region-side": (
        [reg("left pneumothorax", LEFT)],
        [yes_no("Is there pneumothorax in the left lung?", "yes")],
    ),
    "region-where": (
        [rec("left pneumothorax", LEFT), rec("right pneumothorax", HEART)],
        [question("Where is the pneumothorax?", ("left lung", "right lung"), closed=False)],
    ),
    "boxes-ratio": (
        [rec("cardiac silhouette", HEART), rec("right lung", (0.0, 0.0, 60.0, 90.0)),
         reg("left lung", (70.0, 0.0, 125.0, 90.0))],
        [Fact("measurement", "ctr", 0.4)],
    ),
    "report-region": (
        [report("Consolidation in the left lower lung. Large heart."),
         rec("left lower lung zone", LEFT, anatomy=True), reg("heart", HEART, anatomy=True)],
        [rec("consolidation in the left lower lung zone", LEFT),
         rec("enlarged cardiac silhouette", HEART)],
    ),
    "mask-region": (
        [], [rec("heart", HEART, anatomy=True), reg("heart", HEART, anatomy=True)],
    ),
    "mask-ratio": ([], [Fact("measurement", "ctr", 0.4)]),
    "study-view": ([], [report("Clear lungs."), label("Edema", 1)]),
}  # fmt: skip
SIBLINGS = [report("Clear lungs."), label("Edema", 1), rec("left lung", LEFT)]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_concludes_what_its_sentence_says(name):
    given, wanted = GOLDEN[name]
    about = About("a/1", "AP", (128, 128), {"heart": HEART}, {"ctr": 0.4})
    known = Known(about, given, SIBLINGS)
    found = list(RULES[name].conclude(known, HABITS))
    assert sorted((c.fact for c in found), key=by_content) == sorted(wanted, key=by_content)
    assert {c.fact.kind for c in found} <= set(RULES[name].makes)
    premises = {id(fact) for conclusion in found for fact in conclusion.premises}
    assert premises <= {id(fact) for fact in [*given, *SIBLINGS]}
    assert bool(premises) is (bool(given) or name == "study-view")


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_silent_without_facts(name):
    known = Known(About("a/1", "LATERAL"))
    assert list(RULES[name].conclude(known, HABITS)) == []


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        (Fact("measurement", "ctr", 0.53), "ratio-label"),  # readers may or may not call it large
        (Fact("measurement", "ctr", 0.505), "ratio-question"),  # within the error of a measurement
        (Fact("measurement", "cpar", 0.7), "ratio-label"),
        (Fact("grade", "edema", 1.0), "grade-label"),
        (label("Edema", 1), "label-grade"),
        (labels_fact({"Edema": -1}), "findings-question"),
        (yes_no("Is there a change since the last image?", "no"), "answer-label"),
        (question(WHAT, ("foreign body",), closed=False), "answer-findings"),
        (rec("left lung", LEFT), "region-label"),
    ],
)
def test_a_rule_leaves_open_what_is_not_certain(given, rule):
    assert list(RULES[rule].conclude(Known(About("a/1", "PA"), [given]), HABITS)) == []


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("No pulmonary edema.", 0),
        ("No acute cardiopulmonary process.", 0),
        ("Mild pulmonary vascular congestion.", 1),
        ("Interstitial edema with Kerley B lines.", 2),
        ("Severe pulmonary edema.", 3),
        ("Alveolar edema on vascular congestion.", 3),
        ("Pulmonary edema.", None),
        ("Possible interstitial edema.", None),
        ("Clear lungs.", None),
        ("", None),
    ],
)
def test_a_report_states_the_grade_of_edema(text, grade):
    assert edema_grade(text) == grade


def test_questions_are_worded_like_those_of_the_dataset():
    rows = [
        ("Is there evidence of an effusion?", ("yes",), "PA", 1),
        ("Is there evidence of an effusion?", ("no",), "AP", 1),
        ("Which findings are shown on this film?", ("effusion",), "PA", 1),
        ("Is it a PA or an AP film?", ("frontal PA",), "PA", 1),
    ]
    words = Questions.learned(rows)
    assert words.presence("a/1", "Edema") == "Is there evidence of a pulmonary edema?"
    assert words.presence("a/1", "Pleural Effusion") == "Is there evidence of an effusion?"
    assert words.what("a/1") == "Which findings are shown on this film?"
    assert words.view_answer("PA") == "frontal PA" and words.view_answer("AP") == "ap"
    assert words.listed_labels() == ("Pleural Effusion",)


def test_a_narrower_name_never_denies_a_label():
    """No vascular congestion is not the absence of edema."""
    asked = understood("Is there vascular congestion?")
    assert asked is not None and asked.label == "Edema" and not asked.whole
    facts = [yes_no("Is there vascular congestion?", "no")]
    assert list(RULES["answer-label"].conclude(Known(About("a/1"), facts), HABITS)) == []
