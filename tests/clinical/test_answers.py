"""Tests the comparison of yes/no answers with labels."""

import pytest

from imaxray.clinical import DEFAULT_RULES, answer_verdict, answered


@pytest.mark.parametrize(
    ("question", "answer", "says"),
    [
        ("Is there edema?", "yes", ("Edema", 1)),
        ("Is there edema?", "no", ("Edema", 0)),
        ("Is there edema in the left lung?", "yes", ("Edema", 1)),
        ("Is there edema in the left lung?", "no", None),  # the other lung is not asked for
        ("Is there edema?", "maybe", None),
        ("Is the edema new?", "yes", None),
        ("Is there edema or pneumonia?", "yes", None),
        ("Where is the edema?", "yes", None),
    ],
)
def test_what_an_answer_says(question, answer, says):
    assert answered(question, answer) == says


@pytest.mark.parametrize(
    ("label", "verdict"),
    [(0, "contradict"), (1, "agree"), (None, "silent"), ("left out", "silent")],
)
def test_an_answer_against_the_label(label, verdict):
    labels = {} if label == "left out" else {"Edema": label}
    rule = DEFAULT_RULES["question-label"]
    assert answer_verdict(rule, "Is there edema?", "yes", labels) == ("Edema", verdict)
    assert answer_verdict(rule, "Is it new?", "yes", labels) is None
