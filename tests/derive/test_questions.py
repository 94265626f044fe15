"""Tests which questions are understood, how they are worded, and what answers to them imply."""

import pytest

from imaxray.derive import About, Habits, Known
from imaxray.derive.facts.fact import question
from imaxray.derive.facts.questions import Questions, understood
from imaxray.derive.rules.builtin import BUILT_IN

RULES = {rule.name: rule for rule in BUILT_IN}
WIDE = "Is the cardiac silhouette wider than half of the thorax?"


def follows(rule, text, *answers, closed=True, habits=None):
    known = Known(About("a/1", "PA"), [question(text, answers, closed=closed)])
    return [c.fact for c in RULES[rule].conclude(known, habits or Habits())]


def labels(text, *answers):
    return {f.name: int(f.value) for f in follows("answer-label", text, *answers)}


@pytest.mark.parametrize(
    "text",
    [
        # what is not there, or was not there before
        "What abnormalities are not seen in this image?",
        "Which finding is not present?",
        "Which findings are absent in this image?",
        "What findings are new in this image?",
        "What findings have resolved in this image?",
        # some of the abnormalities only, so that the answer is no list of all of them
        "What abnormality is most prominent in this image?",
        "What abnormalities of the bones are seen in this image?",
        "What abnormality other than effusion is seen in this image?",
        "What abnormality is seen in the left lung in this image?",
        "What findings that suggest heart failure are seen in this image?",
        # "yes" denies
        "Is the cardiac silhouette not wider than half of the thorax?",
        "Is the cardiac silhouette no wider than half of the chest?",
        "Is the width of the cardiac silhouette smaller than half of the thorax?",
        "Is the lung free of pneumothorax?",
        "Is there no pneumothorax?",
        "Isn't there a pneumothorax?",
        "Is the heart not enlarged?",
        "Is the heart size normal?",
        "Can pneumothorax be excluded?",
        "Has the pneumothorax resolved?",
    ],
)
def test_a_question_with_another_sense_is_not_understood(text):
    assert understood(text) is None
    for answer in ("yes", "no", "pneumothorax"):
        assert labels(text, answer) == {}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("What abnormalities are seen in this image?", "what"),
        ("Which findings can be seen on this chest x-ray?", "what"),
        ("What diseases are present?", "what"),
        (WIDE, "wider"),
        ("Is the width of the cardiac silhouette wider than 1/2 of the thorax width?", "wider"),
    ],
)
def test_a_question_in_other_words_is_understood(text, kind):
    assert understood(text).kind == kind


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Is there interstitial edema?", "Edema"),
        ("Is there alveolar edema?", "Edema"),
        ("Is there a rib fracture?", "Fracture"),
        ("Is there a lung mass?", "Lung Lesion"),
        ("Is there a chest tube?", "Support Devices"),
        ("Is this pneumonia?", "Pneumonia"),
        ("Is it a nodule?", "Lung Lesion"),
    ],
)
def test_no_to_one_kind_of_a_finding_leaves_room_for_the_others(text, label):
    assert labels(text, "yes") == {label: 1}
    assert labels(text, "no") == {}


@pytest.mark.parametrize(
    "answer",
    ["not visible", "unknown", "there is no effusion", "n/a", "possibly the left lung",
     "cannot be determined", "left lung if any", "not the left lung"],
)  # fmt: skip
def test_an_answer_that_names_no_certain_place_affirms_nothing(answer):
    assert labels("Where is the pleural effusion?", answer) == {}
    assert follows("where-side", "Where is the pleural effusion?", answer, closed=False) == []


@pytest.mark.parametrize(
    ("answers", "left", "right"),
    [
        (("left lung",), "yes", "no"),
        (("left lung", "right lung"), "yes", "yes"),
        (("bilateral",), "yes", "yes"),
        (("left lower lobe",), "yes", "no"),
        (("mainly the left lung",), "yes", None),
        (("left, worse than before",), "yes", None),
        (("mediastinum",), None, None),
    ],
)
def test_a_side_is_denied_only_by_a_plain_place(answers, left, right):
    found = follows("where-side", "Where is the pleural effusion?", *answers, closed=False)
    said = {fact.text: fact.answers[0] for fact in found}
    assert said.get("Is there pleural effusion in the left lung?") == left
    assert said.get("Is there pleural effusion in the right lung?") == right


def test_a_part_of_a_label_on_one_side_denies_nothing_of_the_other():
    found = follows("where-side", "Where is the vascular congestion?", "left lung", closed=False)
    assert [(f.text, f.answers) for f in found] == [
        ("Is there pulmonary edema in the left lung?", ("yes",))
    ]


@pytest.mark.parametrize("label", ["Support Devices", "Fracture", "Cardiomegaly"])
def test_nobody_asks_in_which_lung_a_thing_outside_the_lungs_is(label):
    words = Questions()
    assert words.sided("a/1", label, "left lung") is words.where("a/1", label) is None
    assert words.presence("a/1", label) is not None


def test_a_doubtful_answer_affirms_nothing_and_makes_no_list():
    what = "What abnormalities are seen in this image?"
    assert labels(what, "possible pneumonia", "pleural effusion") == {"Pleural Effusion": 1}
    assert labels(what, "no pneumonia") == {}
    assert follows("answer-findings", what, "possible pneumonia", closed=False) == []


def learned(*rows):
    return Questions.learned([(text, answers, view, 1) for text, answers, view in rows])


def test_a_statement_is_no_name_that_fits_into_other_questions():
    words = learned(("Is the heart enlarged?", ("yes",), "PA"))
    assert words.presence("a/1", "Pneumonia") == "Is there pneumonia?"
    assert words.presence("a/1", "Cardiomegaly") == "Is there enlarged cardiac silhouette?"


def test_a_question_about_what_is_pointed_at_is_not_asked_of_other_images():
    words = learned(("Is this a nodule?", ("yes",), "PA"))
    assert words.presence("a/1", "Pneumonia") == "Is there pneumonia?"


def test_a_view_is_not_answered_with_another_view_or_with_yes():
    words = learned(
        ("Is this an AP or a PA film?", ("ap",), "PA"),
        ("Is this an AP or a PA film, or neither?", ("yes",), "PA"),
        ("Is this an AP or a PA film?", ("antero-posterior",), "AP"),
    )
    assert words.view_answer("PA") == "pa"
    assert words.view_answer("AP") == "antero-posterior"
    assert {words.view(f"a/{k}") for k in range(9)} == {"Is this an AP or a PA film?"}


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("Cardiomegaly", "Is cardiomegaly present?"),
        ("Edema", "Is pulmonary edema present?"),
        ("Support Devices", "Is support devices present?"),
        ("Fracture", "Is a fracture present?"),
        ("Enlarged Cardiomediastinum", "Is an enlarged cardiomediastinum present?"),
        ("Pneumothorax", "Is a pneumothorax present?"),
    ],
)
def test_only_what_can_be_counted_has_an_article(label, text):
    words = learned(
        ("Is a pneumothorax present?", ("no",), "PA"),
        ("Is a pneumothorax present?", ("yes",), "PA"),
    )
    words = Questions(forms=words.forms, names={"Cardiomegaly": "cardiomegaly"})
    assert words.presence("a/1", label) == text
