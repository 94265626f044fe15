"""Tests that an uncertain label is never answered by No Finding, under each policy of a build."""

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.schema import ANNOTATIONS, FINDINGS, conform
from imaxray.tasks import get_task
from imaxray.tasks.findings import known

POLICIES = ("ignore", "ones", "zeros", "ask")
OTHERS = {"Pleural Effusion": 0, "Pneumothorax": 0}


def draft(labels, policy="ignore", origins=None):
    rows = [
        {"image_id": "c/1", "kind": "label", "name": name, "value": float(value),
         "source": "s", "file": "f", "row": row, "origin": (origins or {}).get(name, "silver")}
        for row, (name, value) in enumerate(labels.items(), start=1)
    ]  # fmt: skip
    frame = get_task("findings").under(policy).drafts(conform(pl.DataFrame(rows), ANNOTATIONS))
    if frame.is_empty():
        return None
    (row,) = frame.to_dicts()
    return row["target"], json.loads(row["answer"])


@pytest.mark.parametrize(
    ("labels", "ignore", "ones", "zeros", "ask"),
    [
        ({"Pneumonia": -1, **OTHERS}, None, "Pneumonia", "No Finding", "Possible Pneumonia"),
        ({"Pneumonia": -1}, None, "Pneumonia", "No Finding", "Possible Pneumonia"),
        ({"Pneumonia": -1, "Edema": 1}, "Edema", "Edema, Pneumonia", "Edema",
         "Edema, Possible Pneumonia"),
        ({"Pneumonia": -1, "No Finding": 1}, None, "Pneumonia", "No Finding", "Possible Pneumonia"),
        ({"Pneumonia": -1, "No Finding": 1, "Support Devices": 1}, "Support Devices",
         "Pneumonia, Support Devices", "No Finding, Support Devices",
         "Support Devices, Possible Pneumonia"),
        ({"No Finding": -1, **OTHERS}, None, "No Finding", "No Finding", None),
        ({"Support Devices": -1, **OTHERS}, None, "Support Devices", "No Finding",
         "Possible Support Devices"),
        ({"Support Devices": -1, "No Finding": 1}, "No Finding", "No Finding, Support Devices",
         "No Finding", "No Finding, Possible Support Devices"),
        (OTHERS, "No Finding", "No Finding", "No Finding", "No Finding"),
        ({"No Finding": 0, **OTHERS}, None, None, None, None),
    ],
)  # fmt: skip
def test_the_target_under_each_policy(labels, ignore, ones, zeros, ask):
    found = {policy: draft(labels, policy) for policy in POLICIES}
    targets = {policy: None if one is None else one[0] for policy, one in found.items()}
    assert targets == {"ignore": ignore, "ones": ones, "zeros": zeros, "ask": ask}


LABELS = st.dictionaries(st.sampled_from(FINDINGS), st.sampled_from([-1, 0, 1]), min_size=1)


@given(labels=LABELS, policy=st.sampled_from(["ignore", "ones", "ask"]))
def test_no_image_with_an_uncertain_abnormality_is_called_normal(labels, policy):
    unsure = [n for n, v in labels.items()
              if v == -1 and n not in ("No Finding", "Support Devices")]  # fmt: skip
    made = draft(labels, policy)
    if unsure and made is not None:
        target, gold = made
        assert "No Finding" not in target and gold.get("No Finding") != 1
        assert all(gold[name] == (1 if policy == "ones" else -1) for name in unsure)


@given(labels=LABELS)
def test_certain_labels_give_the_same_entry_under_every_policy(labels):
    certain = {name: value for name, value in labels.items() if value >= 0}
    if certain:
        assert len({repr(draft(certain, policy)) for policy in POLICIES}) == 1


def test_the_strongest_statement_of_a_label_decides_whether_it_is_uncertain():
    frame = conform(
        pl.DataFrame(
            [
                {"image_id": "c/1", "kind": "label", "name": "Pneumonia", "value": value,
                 "source": "s", "file": "f", "row": row, "origin": origin}
                for row, (value, origin) in enumerate([(-1.0, "silver"), (0.0, "human")], start=1)
            ]
        ),
        ANNOTATIONS,
    )  # fmt: skip
    assert get_task("findings").drafts(frame)["target"].to_list() == ["No Finding"]


def test_uncertain_gold_is_neither_scored_nor_answered_as_normal():
    task, gold = get_task("findings"), {"Pneumonia": -1, "Pleural Effusion": 0}
    assert task.given(gold) == {"Pneumonia": -1}
    assert known(gold) == {"Pleural Effusion": 0}
    assert known({**gold, "No Finding": 1}) == {"Pleural Effusion": 0}
    assert task.given({"Pneumonia": -1, "No Finding": 1}) == {"Pneumonia": -1}
    assert task.given({"Edema": 1, "Pneumonia": -1}) == {"Edema": 1}
    assert task.as_gold({"No Finding": 1, "Pneumonia": -1}, "findings.list.0") is None
    said = task.statements(None, {"No Finding": 1, "Pneumonia": -1}, size=None, usual=())
    assert list(said) == []


def test_the_stratum_counts_positive_labels_only():
    targets = pl.DataFrame({"target": ["No Finding", "Edema, Possible Pneumonia",
                                       "Possible Edema", "Edema, Mass"]})  # fmt: skip
    strata = targets.select(get_task("findings").stratum())
    assert strata.to_series().to_list() == [f"{n} findings" for n in (0, 1, 0, 2)]
