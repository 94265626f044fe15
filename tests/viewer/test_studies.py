"""Tests what is shown of studies, ablations and strategies, also of broken and unfinished ones."""

import json
import shutil

import polars as pl
import pytest

from imaxray._common.files import write_parquet
from imaxray._common.state import write_state
from imaxray.errors import ImaxrayError
from imaxray.viewer import viewed
from imaxray.viewer.library import Library
from imaxray.viewer.opening.subject import open_subject


@pytest.fixture(scope="module")
def answers(viewed_root):
    path = viewed_root / "arms" / "good.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return pl.DataFrame(rows).select("entry_id", "text")


@pytest.fixture
def ablation(tmp_path, viewed_root, answers):
    """An ablation of two arms and two seeds, as its folder holds it."""
    out = tmp_path / "ablation"
    shutil.copytree(viewed_root / "data", out / "imax")
    arms = {}
    for arm in ("dmax", "+ model answers"):
        for seed in (0, 1):
            run = out / f"seed-{seed}" / "stages" / arm.replace(" ", "-")
            run.mkdir(parents=True)
            write_parquet(run / "predictions.parquet", answers)
            place = run.relative_to(out).as_posix()
            arms.setdefault(arm, []).append({"arm": arm, "seed": seed, "run": place})
    write_state(out / "ablation.json", {"arms": arms})
    return out


def test_the_arms_of_an_ablation_are_shown(ablation):
    subject = open_subject([ablation])
    assert list(subject.datasets) == ["imax"]
    assert list(subject.arms) == [
        "dmax, seed 0", "dmax, seed 1", "+ model answers, seed 0", "+ model answers, seed 1",
    ]  # fmt: skip
    assert subject.notes == ()


def test_of_too_many_runs_the_first_seed_is_shown(ablation):
    told = json.loads((ablation / "ablation.json").read_text())
    arms = {f"arm {k}": told["arms"]["dmax"] for k in range(7)}
    write_state(ablation / "ablation.json", {"arms": arms})
    subject = open_subject([ablation])
    assert list(subject.arms) == [f"arm {k}" for k in range(7)]
    (note,) = subject.notes
    assert "14 runs" in note and "seed 0" in note


@pytest.mark.parametrize("damage", ["cut", "no table", "folder"])
def test_an_arm_whose_answers_are_damaged_is_left_out_and_told(ablation, damage):
    file = ablation / "seed-1" / "stages" / "dmax" / "predictions.parquet"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:100])
    elif damage == "no table":
        write_parquet(file, pl.DataFrame({"a": [1]}))
    else:
        file.unlink()
        file.mkdir()
    subject = open_subject([ablation])
    assert "dmax, seed 1" not in subject.arms and len(subject.arms) == 3
    if damage != "folder":  # a run that has not answered yet is no fault
        assert "The answers of dmax, seed 1 are left out. Expected" in " ".join(subject.notes)


def test_an_ablation_before_its_first_answers_shows_its_data(ablation):
    for file in ablation.glob("seed-*/stages/*/predictions.parquet"):
        file.unlink()
    subject = open_subject([ablation])
    assert not subject.arms and "has answered the split test yet" in subject.notes[0]


def test_a_record_cannot_lead_out_of_its_ablation(ablation, viewed_root):
    outside = viewed_root / "arms"
    arms = {"dmax": [{"seed": 0, "run": str(outside)}, {"seed": 0, "run": "../.."}, {}, 7]}
    write_state(ablation / "ablation.json", {"arms": arms})
    assert not open_subject([ablation]).arms


@pytest.mark.parametrize("content", ["{", "[]", '{"arms": 7}'])
def test_a_damaged_ablation_is_one_sentence(ablation, content):
    (ablation / "ablation.json").write_text(content)
    with pytest.raises(ImaxrayError, match=r"ablation\.json, but it is damaged"):
        open_subject([ablation])


def test_the_stages_of_a_strategy_are_shown(tmp_path, viewed_root, answers):
    out = tmp_path / "strategy"
    for stage, folder in {"1-dmax": "test", "2-pseudo": "imax-test", "3-finish": "val"}.items():
        run = out / "stages" / stage
        (run / "evaluation" / folder).mkdir(parents=True)
        (run / "run.json").write_text("{}")
        write_parquet(run / "evaluation" / folder / "predictions.parquet", answers)
    write_state(out / "strategy.json", {"done": []})
    subject = open_subject([out], data=viewed_root / "data")
    assert list(subject.arms) == ["1-dmax", "2-pseudo"] and list(subject.datasets) == ["data"]


def test_a_strategy_without_answers_asks_for_the_dataset(tmp_path):
    write_state(tmp_path / "strategy.json", {"done": []})
    with pytest.raises(ImaxrayError, match="Name the dataset with --data"):
        open_subject([tmp_path])


def test_what_is_nothing_of_imaxray_is_said_to_be_so(tmp_path):
    with pytest.raises(ImaxrayError, match="but it is none; name such a folder"):
        open_subject([tmp_path])
    (tmp_path / "phantom").mkdir()
    (tmp_path / "phantom" / "study.yaml").write_text("{}")
    with pytest.raises(ImaxrayError, match=f"such as {tmp_path}/phantom"):
        open_subject([tmp_path])
    (tmp_path / "report.html").write_text("<p>")
    with pytest.raises(ImaxrayError, match=r"a file of answers \(\.csv"):
        open_subject([tmp_path / "report.html"])
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ImaxrayError, match="evaluate the model first"):
        open_subject([tmp_path])


def test_many_answers_are_read_in_the_background(ablation, monkeypatch):
    whole = Library(open_subject([ablation]), ablation.parent / "marks.jsonl").dataset("")
    assert whole.whole and whole.index.arms
    monkeypatch.setattr(viewed, "_MANY", 10)
    library = Library(open_subject([ablation]), ablation.parent / "marks.jsonl")
    early = library._opened("")
    assert early.wait().index.table.equals(whole.index.table)
    assert early.reading() is None
