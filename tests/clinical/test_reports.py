"""Tests that the fast comparison of reports with labels finds no more than the full comparison."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.clinical import DEFAULT_RULES, MENTIONS, confirmed, report_verdicts, suspected

RULE = DEFAULT_RULES["report-label"]
SENTENCES = (
    "No pneumothorax is seen.", "There is a small left pleural effusion.", "Possible pneumonia.",
    "The heart is enlarged.", "The heart size is normal.", "No right effusion.",
    "Interstitial edema.", "No edema, consolidation or fracture.", "Atelectasis at the left base.",
    "Large pneumothorax on the right.", "Edema has resolved.", "No large effusion.",
    "Enlargement of the heart.", "Rib fracture.", "Lung nodule.", "Consolidation; no pneumonia.",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=4).map(" ".join)


def fast(text, name, value):
    """Whether the way for millions of reports finds a contradiction."""
    row = pl.DataFrame({"text": [text], "name": [name], "value": [float(value)]})
    suspects = row.filter(suspected(pl.col("text"), pl.col("value"), name))
    return confirmed(RULE, suspects).any()


def careful(text, name, value):
    return report_verdicts(RULE, text, {name: value}).get(name) == "contradict"


@given(TEXTS, st.sampled_from(sorted(MENTIONS)), st.sampled_from([0, 1]))
def test_the_fast_way_finds_nothing_more(text, name, value):
    assert not fast(text, name, value) or careful(text, name, value)


@pytest.mark.parametrize("name", sorted(set(MENTIONS) - {"Cardiomegaly"}))
def test_both_ways_find_what_is_said_by_the_finding_s_own_name(name):
    for text, said in ((f"There is {name.lower()}.", 1), (f"No {name.lower()}.", 0)):
        for value in (0, 1):
            assert fast(text, name, value) == careful(text, name, value) == (value != said)


def test_a_report_is_judged_label_by_label():
    text = "There is a pneumothorax. No pleural effusion. Rib fracture. Possible pneumonia."
    labels = {"Pneumothorax": 0, "Pleural Effusion": 0, "Fracture": None, "Pneumonia": 0}
    assert report_verdicts(RULE, text, labels) == {
        "Fracture": "silent", "Pleural Effusion": "agree", "Pneumothorax": "contradict",
    }  # fmt: skip


def test_no_suspect_is_no_contradiction():
    nothing = pl.DataFrame(schema={"text": pl.String, "name": pl.String, "value": pl.Float64})
    found = confirmed(RULE, nothing)
    assert found.dtype == pl.Boolean and found.is_empty()
