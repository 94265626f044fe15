"""Tests what each rule concludes from known facts; every built-in rule has a golden example."""

import pytest

from imaxray.derive import About, Fact, Habits, Known
from imaxray.derive.facts.fact import by_content, labels_fact, question
from imaxray.derive.facts.questions import Questions, understood
from imaxray.derive.rules.builtin import BUILT_IN
from imaxray.derive.rules.reports import with_companions
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
    "ratio-label": ([Fact("measurement", "ctr", 0.63)], [label("Cardiomegaly", 1)]),
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
    ("view", "ratio", "value"),
    [
        ("PA", 0.56, 1), ("PA", 0.44, 0), ("PA", 0.52, None),
        # at 1 m an AP film widens the heart, so that 0.60 is 0.53 of a PA film
        ("AP", 0.56, None), ("AP", 0.60, None), ("AP", 0.63, 1),
        ("AP", 0.44, 0),  # a heart that is small although it is widened
        ("FRONTAL", 0.56, None), (None, 0.56, None), ("FRONTAL", 0.63, 1), ("FRONTAL", 0.44, 0),
    ],
)  # fmt: skip
def test_a_ratio_of_an_ap_film_affirms_cardiomegaly_later(view, ratio, value):
    known = Known(About("a/1", view), [Fact("measurement", "ctr", ratio)])
    found = [c.fact for c in RULES["ratio-label"].conclude(known, HABITS)]
    assert found == ([] if value is None else [label("Cardiomegaly", value)])


@pytest.mark.parametrize("value", [0, -1])
def test_what_a_report_says_of_a_label_is_not_overridden_by_a_companion(value):
    labels = {"Consolidation": 1, "Lung Opacity": value}
    assert with_companions(labels, HABITS) == labels
    text = {0: "No other lung opacity.", -1: "Possible lung opacity."}[value]
    known = Known(About("a/1"), [report(f"Consolidation in the right base. {text}")])
    (found,) = (c.fact for c in RULES["report-findings"].conclude(known, HABITS))
    assert dict(found.labels)["Lung Opacity"] == value


ANSWERS = {"left lung": "left", "right lung": "right"}


def sided(text):
    """Side → answer of the rule report-side about pleural effusion."""
    known = Known(About("a/1"), [report(text)])
    asked = [c.fact for c in RULES["report-side"].conclude(known, HABITS)]
    return {
        side: fact.answers[0]
        for place, side in ANSWERS.items()
        for fact in asked
        if fact.text == f"Is there pleural effusion in the {place}?"
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Small left pleural effusion.", {"left": "yes", "right": "no"}),
        ("Small left pleural effusion. No pneumothorax.", {"left": "yes", "right": "no"}),
        ("Small left and right pleural effusions.", {"left": "yes", "right": "yes"}),
        ("Pleural effusions on the left and the right.", {"left": "yes", "right": "yes"}),
        ("Bilateral pleural effusions.", {"left": "yes", "right": "yes"}),
        ("Left pleural effusion. Right pleural effusion.", {"left": "yes", "right": "yes"}),
        # a mention without a side may be of the other one
        ("Left pleural effusion. Pleural effusions are larger.", {}),
        ("Pleural effusions. Left pleural effusion is larger.", {}),
        ("Left pleural effusion. Possible right pleural effusion.", {}),
        # one side alone is named, and the other one has the finding too, or nobody knows
        ("Pleural effusions, left and right.", {"left": "yes", "right": "yes"}),
        ("Left pleural effusion, also seen on the right.", {"left": "yes", "right": "yes"}),
        ("Mild left and moderate right pleural effusions.", {"left": "yes", "right": "yes"}),
        ("Pleural effusion in the left base and right base.", {"left": "yes", "right": "yes"}),
        ("Pleural effusion, worse on the left.", {}),
        ("Pleural effusion after left thoracotomy.", {}),
        ("Left lateral decubitus view shows pleural effusion.", {}),
        ("Left pleural effusion but no right pleural effusion.", {"left": "yes", "right": "no"}),
        ("Left pleural effusion with shift to the right.", {"left": "yes", "right": "no"}),
        ("Left pleural effusion, larger while right has resolved.", {"left": "yes", "right": "no"}),
    ],
)
def test_a_side_is_denied_only_if_every_mention_names_another_one(text, wanted):
    assert sided(text) == wanted
    known = Known(About("a/1"), [report(text)])
    where = [c.fact.answers for c in RULES["report-where"].conclude(known, HABITS)]
    places = tuple(p for p, side in ANSWERS.items() if wanted.get(side) == "yes")
    assert where == ([places] if wanted else [])


CP, ZONE = "{} costophrenic angle", "{} {} lung zone"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Left pleural effusion.", [("pleural effusion", CP.format("left"))]),
        ("Left pacemaker and pleural effusion.", []),
        ("Pleural effusion and a nodule in the right upper lobe.",
         [("lung nodule", ZONE.format("right", "upper"))]),
        ("Left effusion, consolidation in the right lower lobe.",
         [("pleural effusion", CP.format("left")),
          ("consolidation", ZONE.format("right", "lower"))]),
        ("Bilateral effusions, larger on the left.", []),
        ("Left and right pleural effusions.", []),
        ("Consolidation in the right upper and lower lobes.", []),
        ("Consolidation in the right middle lobe.",
         [("consolidation", ZONE.format("right", "mid"))]),
    ],
)  # fmt: skip
def test_a_region_is_that_of_the_clause_of_the_finding(text, wanted):
    places = [CP.format(s) for s in ("left", "right")]
    places += [ZONE.format(s, z) for s in ("left", "right") for z in ("upper", "mid", "lower")]
    boxes = {place: (10.0 * k, 0.0, 10.0 * k + 9, 9.0) for k, place in enumerate(places)}
    regions = [rec(place, box, anatomy=True) for place, box in boxes.items()]
    known = Known(About("a/1"), [report(text), *regions])
    found = {c.fact.text: c.fact.boxes for c in RULES["report-region"].conclude(known, HABITS)}
    wanted = {f"{name} in the {place}": (boxes[place],) for name, place in wanted}
    assert {k: v for k, v in found.items() if k in wanted or "opacity" not in k} == wanted


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
    assert words.presence("a/1", "Edema") == "Is there evidence of pulmonary edema?"
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
