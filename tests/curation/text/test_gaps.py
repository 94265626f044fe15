"""Tests the rule for gaps of de-identification: closed if nothing hangs on them, else dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.curation.text.gaps import without_gaps

CLOSED = [
    ("Compared to the study of ___, there is an effusion.",
     "Compared to the study, there is an effusion."),
    ("In comparison with the radiograph from ___ at ___, no change.",
     "In comparison with the radiograph, no change."),
    ("As compared to ___, the edema has worsened.", "The edema has worsened."),
    ("The nodule is unchanged since XXXX.", "The nodule is unchanged."),
    ("No change since ___.", "No change."),
    ("Negative chest x-XXXX.", "Negative chest x-ray."),
    ("There is a XXXX pleural effusion.", "There is a pleural effusion."),
    ("There is a XXXX opacity.", "There is an opacity."),
    ("Mild XXXX atelectasis at the base.", "Mild atelectasis at the base."),
    ("Low volumes with XXXX atelectasis.", "Low volumes with atelectasis."),
    ("XXXX bilateral pleural effusions.", "Bilateral pleural effusions."),
    ("XXXX XXXX opacities at the left base.", "Opacities at the left base."),
    ("There is a [**Name**] catheter in place.", "There is a catheter in place."),
]  # fmt: skip
DROPPED = [
    "No XXXX airspace disease.",
    "No XXXX of pneumonia.",
    "There is no XXXX.",
    "There is no evidence of ___ effusion.",
    "The XXXX are clear.",
    "The XXXX lung is clear.",
    "Heart size is XXXX.",
    "Heart size and XXXX are normal.",
    "The tube ends ___ cm above the carina.",
    "A ___ mm nodule is seen.",
    "There are XXXX opacities.",
    "XXXX acute disease.",
    "XXXX pleural effusion or pneumothorax.",
    "XXXX evidence of pneumonia with effusion.",
    "XXXX lung volumes.",
    "Opacities XXXX represent pneumonia.",
    "This XXXX represents pneumonia.",
    "A line is XXXX present.",
    "Discussed with Dr. ___ at ___.",
    "Comparison: XXXX, XXXX.",
    "___ year old man.",
    "XXXX.",
]


@pytest.mark.parametrize(("text", "expected"), CLOSED)
def test_a_gap_on_which_nothing_hangs_is_closed(text, expected):
    plain, counts = without_gaps(text, "rule")
    assert plain == expected and counts["gaps_closed"] and not counts["sentences_dropped"]


@pytest.mark.parametrize("text", DROPPED)
def test_a_sentence_whose_meaning_may_hang_on_its_gap_is_dropped(text):
    plain, counts = without_gaps(f"{text} The heart is large.", "rule")
    assert plain == "The heart is large."
    assert dict(counts) == {"sentences_dropped": 1}


@pytest.mark.parametrize("text", [*DROPPED, *(text for text, _ in CLOSED)])
def test_the_other_ways(text):
    assert without_gaps(text, "keep") == (text, {})
    plain, counts = without_gaps(text, "remove")
    assert "XXXX" not in plain and "__" not in plain and counts["gaps_closed"] >= 1


WORDS = st.sampled_from(["no", "the", "a", "XXXX", "___", "opacity", "is", "clear", "or", "."])


@given(st.lists(WORDS, max_size=12).map(" ".join))
def test_no_gap_is_left_and_no_denial_loses_its_object(text):
    plain, _ = without_gaps(text, "rule")
    assert "XXXX" not in plain and "__" not in plain
    denied = [s for s in plain.split(".") if " no " in f" {s.lower()} "]
    assert all(s.strip().lower() in text.lower() for s in denied)


def test_a_text_without_a_gap_is_not_touched():
    text = "Seen by Dr. A.  XXL catheter , in place .."
    assert without_gaps(text, "rule") == (text, {})
