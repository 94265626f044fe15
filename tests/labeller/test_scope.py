"""Tests what sentences say: a table of worked sentences, and the time that long texts take."""

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from imaxray.labeller import label_report, mentions, stated
from imaxray.labeller.scope import judge
from imaxray.schema import CHEXPERT

TABLE = [
    json.loads(line)
    for line in Path(__file__).with_name("sentences.jsonl").read_text("utf-8").splitlines()
]
"""Own sentences with the value of each label: 1, 0, -1; a label that is missing is unknown."""


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["text"][:50])
def test_worked_sentences(row):
    assert label_report(row["text"]) == row["labels"]


def test_the_table_covers_every_label_and_value():
    assert len(TABLE) >= 320
    seen = Counter(pair for row in TABLE for pair in row["labels"].items())
    for label in set(CHEXPERT) - {"No Finding"}:
        assert all(seen[label, value] for value in (1, 0, -1)), label


@pytest.mark.parametrize(
    "row", [r for r in TABLE if r["kind"] not in ("uncertain",)], ids=lambda row: row["text"][:50]
)
def test_what_is_stated_is_never_the_opposite(row):
    for label, value in stated(row["text"]).items():
        assert row["labels"].get(label) == value


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("No pleural effusion, pneumothorax.", {"Pleural Effusion": 0, "Pneumothorax": 0}),
        ("No evidence of pneumonia and edema.", {"Edema": 0, "Pneumonia": 0}),
        ("Clear without edema, effusion, pneumothorax.",
         {"Edema": 0, "Pleural Effusion": 0, "Pneumothorax": 0}),
        ("The pneumothorax is no longer present.", {}),
        ("The edema is not well demonstrated.", {}),
        ("No laryngeal edema.", {}),
        ("No XXXX pneumothorax.", {}),
        ("XXXX pneumothorax.", {}),
        ("No new pneumothorax.", {}),
        ("Blunted left costophrenic angle. No pleural effusion.", {}),  # two ways to say it
    ],
)  # fmt: skip
def test_only_plain_statements_accuse(text, labels):
    assert stated(text) == labels


@pytest.mark.parametrize(
    "unit",
    ["no effusion and no pneumothorax, ", "effusion is not seen ", "effusion likely, ", "no ", "no",
     "effusion, ", "none, ", ": ", "edema: none ", "1. no edema ", "xxxx ", "or ", "findings: ",
     "no change in ", "\n", " ", "?", "not ", "left ", "clearly ", "pulmonary ", "no no, ",
     ".!", "effusion, no no no no "],
)  # fmt: skip
def test_time_is_linear_in_the_length(unit):
    """A model that repeats itself writes 63,000 characters; ten seconds are very generous."""
    text = unit * (63_000 // len(unit)) + "x"
    start = time.perf_counter()
    list(mentions(text))
    assert time.perf_counter() - start < 10


def test_cues_reach_phrases_by_place():
    text = "no effusion or mass, but possible edema after pneumonia has resolved"
    words = ("effusion", "mass", "edema", "pneumonia")
    found = [(word, text.index(word), text.index(word) + len(word)) for word in words]
    assert [finding.status for finding in judge(text, found)] == [
        "denied", "denied", "doubted", "denied",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "present", "absent", "uncertain"),
    [
        ("Findings argue against pneumonia.", "", "Pneumonia", ""),
        ("Cardiac silhouette: not enlarged.", "", "Cardiomegaly", ""),
        ("ETT removed.", "", "Support Devices", ""),
        ("Small effusion, tube removed.", "Pleural Effusion", "", ""),
        ("Small effusion, none on the right.", "Pleural Effusion", "", ""),
        ("No effusion on the right, large effusion on the left.", "Pleural Effusion", "", ""),
        ("Consolidation without effusion suggests pneumonia.", "Consolidation",
         "Pleural Effusion", "Pneumonia"),
        ("1.No effusion 2.Cardiomegaly", "Cardiomegaly", "Pleural Effusion", ""),
        ("Effusion=no; edema=yes", "Edema", "Pleural Effusion", ""),
        ("Pleural effusion [no], edema [yes]", "Edema", "Pleural Effusion", ""),
        ("Pneumothorax, no. Edema, yes.", "Edema", "Pneumothorax", ""),
        ("Edema: 0", "", "Edema", ""),
        ("Opacity is likely due to atelectasis.", "Lung Opacity", "", "Atelectasis"),
        ("It is not possible to exclude pneumonia.", "", "", "Pneumonia"),
        ("Pneumothorax did not recur.", "", "Pneumothorax", ""),
        ("Edema after pneumonia has resolved.", "Edema", "Pneumonia", ""),
        ("Heart size and pulmonary vascular engorgement are within normal limits.", "",
         "Cardiomegaly Edema", ""),
        ("No focal consolidation, pleural effusion, pneumothorax are seen.", "",
         "Consolidation Pleural_Effusion Pneumothorax", ""),
        ("Resolved inflammatory or infectious process.", "", "Pneumonia", ""),
        ("Bony overlap could obscure a small nodule.", "", "", ""),
        ("The lead is fractured.", "Support Devices", "", ""),
        ("The tube should be withdrawn by 2 cm, no pneumothorax, tip of the catheter is low.",
         "Support Devices", "Pneumothorax", ""),
    ],
)  # fmt: skip
def test_further_wordings(text, present, absent, uncertain):
    wanted = {}
    for names, value in ((present, 1), (absent, 0), (uncertain, -1)):
        known = names.replace("_", " ")
        wanted |= {label: value for label in CHEXPERT if label in known}
    found = label_report(text)
    found.pop("No Finding", None)
    assert found == wanted
