"""Tests that what follows from a report never contradicts itself, whatever its sentences are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaxray.derive import About, Fact, Habits, derive_facts
from imaxray.derive.rules.builtin import BUILT_IN

SENTENCES = st.lists(
    st.sampled_from(
        [
            "Left pleural effusion.", "Right pleural effusion.", "No left pleural effusion.",
            "Bilateral pleural effusions, right greater than left.", "Effusion, worse on the left.",
            "Left effusion but no right effusion.", "The right effusion has resolved.",
            "No pneumothorax.", "Small right apical pneumothorax.", "Possible pneumothorax.",
            "RLL and left upper lobe consolidation.", "The right lung is clear.",
            "The lungs are clear.", "No severe edema, vascular congestion.", "Unchanged.",
            "Status post left lobectomy for lung cancer.", "Left chest tube for pneumothorax.",
            "Heart size is normal.", "The heart is enlarged.", "No acute cardiopulmonary process.",
        ]
    ),
    min_size=1, max_size=6,
)  # fmt: skip


def derived(text):
    about = About("a/1", "PA", (100, 100))
    stated = [(Fact("report", "findings", text=text), "e/1")]
    return derive_facts(about, stated, BUILT_IN, Habits()).derived


@settings(max_examples=150, deadline=None)
@given(SENTENCES)
def test_a_report_answers_each_question_once_and_no_side_without_its_label(sentences):
    found = derived(" ".join(sentences))
    answers, labels = {}, {}
    for derivation in found:
        fact = derivation.fact
        if fact.kind == "qa":
            assert answers.setdefault(fact.text, fact.answers) == fact.answers
        if fact.kind == "label":
            assert labels.setdefault(fact.name, fact.value) == fact.value
        assert derivation.entries == ("e/1",)
    for text, said in answers.items():
        if "in the" in text and "pleural effusion" in text and said == ("yes",):
            assert labels["Pleural Effusion"] == 1


@settings(max_examples=60, deadline=None)
@given(SENTENCES)
def test_no_side_is_denied_that_any_sentence_names(sentences):
    """A sentence that affirms a side alone forbids its denial in the whole report."""
    said = {
        side
        for side, text in (
            ("left", "Left pleural effusion."), ("right", "Right pleural effusion.")
        )
        if text in sentences
    }  # fmt: skip
    for derivation in derived(" ".join(sentences)):
        for side in said:
            if derivation.fact.text == f"Is there pleural effusion in the {side} lung?":
                assert derivation.fact.answers == ("yes",)


@pytest.mark.parametrize("text", ["Unchanged.", "As above.", "Status post right pneumonectomy."])
def test_nothing_follows_from_a_report_that_says_nothing(text):
    assert [d.fact for d in derived(text) if d.rule != "view-question"] == []
