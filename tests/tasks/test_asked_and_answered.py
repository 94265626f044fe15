"""Tests which labels an answer affirms or denies, whatever the question sets aside."""

import pytest

from imaxray.tasks.vqa import CTR_ABOVE, labels_answered

WIDE = "Is the cardiac silhouette {} than half of the thorax?"


@pytest.mark.parametrize(
    ("question", "answer", "said"),
    [
        ("What abnormalities are seen?", "pneumonia, effusion",
         {"Pneumonia": 1, "Pleural Effusion": 1}),
        ("What abnormalities are not seen?", "pneumonia", {}),
        ("What findings have resolved?", "pneumonia", {}),
        ("Which findings can be excluded?", "pneumonia", {}),
        ("What abnormalities are seen?", "possible pneumonia", {}),
        (WIDE.format("wider"), "yes", {CTR_ABOVE: 1}),
        (WIDE.format("wider"), "no", {CTR_ABOVE: 0}),
        (WIDE.format("no wider"), "no", {}),
        (WIDE.format("not wider"), "yes", {}),
        ("Where is the pneumothorax?", "left lung", {"Pneumothorax": 1}),
        ("Where is the pneumothorax?", "none", {"Pneumothorax": 0}),
        ("Where is the pneumothorax?", "not visible", {}),
        ("Where is the pneumothorax?", "unknown", {}),
        ("Is there a fracture?", "no", {"Fracture": 0}),
        ("Is there a rib fracture?", "no", {}),
        ("Is there a rib fracture?", "yes", {"Fracture": 1}),
    ],
)  # fmt: skip
def test_an_answer_states_what_its_question_asks(question, answer, said):
    assert dict(labels_answered(question, answer)) == said
