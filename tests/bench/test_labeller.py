"""Tests the bench of the labeller: its headings, its halves, and the floor on real reports."""

import importlib.util
import sys
from pathlib import Path

import pytest

from imaxray.labeller import label_report, measured_agreement
from imaxray.schema import CHEXPERT

SCRIPT = Path(__file__).parents[2] / "bench" / "labeller.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_labeller", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_labeller"] = module
    spec.loader.exec_module(module)
    return module


def test_headings_name_labels(bench):
    rows = bench.read_headings()
    assert {row["label"] for row in rows} == set(CHEXPERT) - {"No Finding"}
    assert {row["value"] for row in rows} == {"1", "-1"}
    keys = [(row["heading"], row["qualifier"], row["label"]) for row in rows]
    assert len(set(keys)) == len(keys)
    assert all(row["heading"] == row["heading"].lower() for row in rows)


@pytest.mark.parametrize(
    ("headings", "label", "value"),
    [
        (["Opacity/lung/base/left"], "Lung Opacity", 1),
        (["Cicatrix/lung/apex", "Cicatrix/pleura"], "Pleural Other", 1),
        (["Cardiomegaly/borderline"], "Cardiomegaly", -1),
        (["Cardiomegaly/borderline", "Cardiac Shadow/enlarged"], "Cardiomegaly", 1),
        (["Calcified Granuloma/lung"], "Lung Lesion", -1),
        (["Calcified Granuloma/lung", "Nodule/lung"], "Lung Lesion", 1),
        (["Costophrenic Angle/left/blunted"], "Pleural Effusion", -1),
        (["Lung/hypoinflation"], "Atelectasis", 0),
        (["normal"], "Edema", 0),
    ],
)
def test_labels_of_headings(bench, headings, label, value):
    assert bench.labels_of(headings, bench.read_headings())[label] == value


def test_counts_by_hand(bench):
    reports = [
        ("1", "Pulmonary edema.", ["Pulmonary Edema"]),
        ("2", "No edema.", ["Pulmonary Edema/interstitial"]),
        ("3", "Possible edema.", ["normal"]),
        ("4", "Nodule.", ["Granuloma/lung"]),
    ]
    score = bench.open_i_score(label_report, reports)
    strict = score["present"]["labels"]["Edema"]
    assert [strict[key] for key in ("tp", "fp", "fn", "tn")] == [1, 0, 1, 2]
    assert score["or uncertain"]["labels"]["Edema"]["fp"] == 1
    assert score["open pairs"] == 1
    assert score["present"]["labels"]["Lung Lesion"]["fp"] == 0
    assert score["open as absent"]["labels"]["Lung Lesion"]["fp"] == 1


def test_every_report_is_in_one_half(bench):
    halves = [bench.half_of(str(uid)) for uid in range(1, 201)]
    assert 60 < halves.count("held-out") < 140
    assert set(halves) == set(bench.HALVES)


def test_sentences_are_scored(bench):
    score = bench.sentences_score(label_report)
    assert score["right"] == score["sentences"]
    assert bench.sentences_score(lambda text: {})["values"][1]["fn"] > 100


def test_open_i(bench):
    archive = bench.find_archive(bench.OPEN_I)
    if archive is None:
        pytest.skip("Open-I's reports are not in .readers; `make readers` brings them")
    reports = list(bench.open_i(archive, "held-out"))
    score = bench.open_i_score(label_report, reports)
    assert len(reports) == measured_agreement().reports
    assert score["present"]["micro"]["f1"] == pytest.approx(measured_agreement().f1, abs=5e-5)
    uncertain = score["or uncertain"]["micro"]["f1"]
    assert uncertain == pytest.approx(measured_agreement().f1_with_uncertain, abs=5e-5)
    assert score["open as absent"]["micro"]["f1"] > 0.88
