"""Tests the labeller: golden sentences, laterality, and its agreement with labelled reports."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.evaluation import labeller_on
from imaxray.labeller import label_report, labeller_agreement, mentions, stated
from imaxray.schema import CHEXPERT

GOLDEN = json.loads(
    (Path(__file__).parents[1] / "golden" / "labeller" / "reports.json").read_text()
)
"""Invented sentences in the manner of Open-I's reports, labelled by hand."""


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["text"][:40])
def test_golden(case):
    assert label_report(case["text"]) == case["labels"]


def test_every_label_is_affirmed_somewhere():
    affirmed = {label for case in GOLDEN for label, v in case["labels"].items() if v != 0}
    assert affirmed >= set(CHEXPERT) - {"Consolidation", "Pneumothorax"}
    assert label_report("Consolidation. Pneumothorax.") == {"Consolidation": 1, "Pneumothorax": 1}


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("Small left pleural effusion.", ["left"]),
        ("Bilateral pleural effusions.", ["both"]),
        ("Right effusion and left pneumothorax.", ["right", "left"]),
        ("Effusions, left and right.", ["both"]),  # a clause that only names places
        ("Left greater than right effusion.", ["both"]),
        ("Pulmonary edema.", [None]),
    ],
)
def test_sides(text, sides):
    assert [mention.side for mention in mentions(text)] == sides


def test_a_side_that_is_denied_does_not_deny_the_other():
    text = "No right effusion. Left effusion is present."
    assert [(m.side, m.value) for m in mentions(text)] == [("right", 0), ("left", 1)]
    assert label_report(text) == {"Pleural Effusion": 1}
    assert stated(text) == {}  # and accuses nobody


WORDS = st.lists(
    st.sampled_from(
        ["no", "effusion", "edema", ",", ".", "or", "and", "left", "may", "without", "pneumonia",
         "the", "heart", "is", "normal", "enlarged", "not", "clear"]
    ),
    max_size=14,
).map(" ".join)  # fmt: skip


@given(WORDS)
def test_what_is_plainly_stated_is_labelled_so(text):
    labels = label_report(text)
    assert {label: labels[label] for label in stated(text)} == stated(text)
    assert set(labels) <= set(CHEXPERT)
    assert set(labels.values()) <= {1, 0, -1}
    assert label_report(text.upper()) == labels


@given(WORDS)
def test_no_finding_excludes_findings(text):
    labels = label_report(text)
    found = [v for k, v in labels.items() if k not in ("No Finding", "Support Devices") and v]
    assert ("No Finding" in labels) == (bool(text.strip()) and not found)


def test_agreement_counts_by_hand():
    found = labeller_agreement(
        ["No edema.", "Edema.", "Possible edema.", "Clear."],
        [{"Edema": 0}, {"Edema": 1}, {"Edema": -1}, {"Edema": 1, "Hernia": 1}],
    ).as_dict()
    assert found["labels"]["Edema"] == {
        "tp": 1, "fp": 0, "fn": 1, "tn": 1, "precision": 1.0, "recall": 0.5, "f1": 2 / 3,
    }  # fmt: skip
    assert found["uncertain"] == {"given": 1, "read": 1}
    assert list(found["labels"]) == ["Edema"]


def test_no_precision_without_negatives():
    """A release that names only what is there cannot show a false alarm."""
    found = labeller_agreement(
        ["Edema.", "Small effusion.", "No fracture."],
        [{"Edema": 1}, {"Edema": 1, "Pleural Effusion": 0}, {"Fracture": 0, "Pneumonia": 1}],
    ).as_dict()
    edema, effusion, fracture = (
        found["labels"][name] for name in ("Edema", "Pleural Effusion", "Fracture")
    )
    assert (edema["precision"], edema["recall"], edema["f1"]) == (None, 0.5, None)
    assert (effusion["precision"], effusion["recall"], effusion["f1"]) == (0.0, None, None)
    assert (fracture["precision"], fracture["recall"], fracture["f1"]) == (None, None, None)
    assert set(found["unmeasured"]) == {"Edema", "Pleural Effusion", "Fracture", "Pneumonia"}
    assert "labelled 0" in found["unmeasured"]["Edema"]
    assert "labelled 1" in found["unmeasured"]["Pleural Effusion"]
    assert found["micro"]["tp"] == 0  # only labels with negatives are summed
    assert found["micro"]["fp"] == 1


def test_agreement_on_phantom_reports(phantom_releases):
    """What the reports say is read; Lung Opacity is labelled there without being said."""
    annotations = build_catalog(phantom_releases, verify=False).annotations
    found = labeller_on(annotations).as_dict()
    assert found["reports"] > 80
    said = {k: v for k, v in found["labels"].items() if v["tp"] + v["fn"] and k != "Lung Opacity"}
    assert len(said) >= 6
    for label, cell in said.items():
        assert cell["precision"] == 1.0, label
        assert cell["recall"] >= 0.95, label
    with pytest.raises(ImaxrayError, match="both a report and labels"):
        labeller_on(annotations.head(0))
