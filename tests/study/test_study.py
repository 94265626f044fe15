"""Tests a small study from releases to report: it resumes and writes the same bytes."""

import json
import re
import shutil

import pytest
import yaml

from imaxray._common.folders import forget_recorded
from imaxray._common.state import known_state, write_state
from imaxray._common.verifying import verify_folder
from imaxray.curation import open_dataset
from imaxray.errors import ImaxrayError
from imaxray.study import (
    StudyConfig,
    build_study_data,
    load_config,
    run_study,
    run_unit,
    write_study_report,
)
from imaxray.study.budget import budget_steps
from imaxray.study.places import answer_folder
from imaxray.study.units import Unit
from imaxray.study.work import do_unit
from latex_tables import columns_of

TINY = {
    "title": "Tiny study",
    "phantom": {"images": 90, "seed": 1},
    "workers": 1,
    "imax": {"min_tasks": 5, "max_entries_per_task": 1, "eval_entries_per_task": 6},
    "model": {
        "image_size": 32, "patch_size": 16, "width": 32, "vision_layers": 1, "text_layers": 1,
        "vocabulary": 400,
    },
    "training": {"entries_per_step": 12, "steps": 4, "log_every": 2, "save_every": 2},
    "evaluation": {"max_new_tokens": 8, "resamples": 100, "examples": 2},
}  # fmt: skip


def hashes(out):
    return {
        name: json.loads((out / name / "manifest.json").read_text())["files"]
        for name in ("catalog", "imax", "dmax")
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "out"
    config = StudyConfig.model_validate(TINY)
    outcome = run_study(config, out)
    return config, out, outcome, write_study_report(outcome.out)


def test_both_views_cover_all_seven_tasks(finished):
    _, _, outcome, _ = finished
    only = outcome.only
    compared = ((only.equal_entries, "imax"), (only.equal_compute, "imax (equal compute)"))
    for comparison, arm in compared:
        rows = comparison.as_dict()["tasks"]
        assert [row["task"] for row in rows] == [
            "calculation", "report", "grading", "findings", "rec", "reg", "vqa",
        ]  # fmt: skip
        assert all(set(row["arms"]) == {"dmax", arm} for row in rows)
        assert all(row["constant"] is not None for row in rows)


def test_both_arms_saw_the_same_number_of_entries(finished):
    outcome = finished[2]
    imax, dmax = outcome.only.runs["imax"][0], outcome.only.runs["dmax"][0]
    assert imax["entries_seen"] == dmax["entries_seen"] == 48
    assert imax["identity"]["weights"] == dmax["identity"]["weights"]
    assert imax["identity"]["layout"] == "packed"
    assert dmax["identity"]["layout"] == "packed"


def test_the_report_is_one_file_without_outside_resources(finished):
    report = finished[3]
    html = report.read_text()
    for part in ("Equal entries seen", "Equal compute", "Learning curves", "Examples", "Rows in"):
        assert part in html
    assert html.count("<svg") >= 7
    outside = html.replace("http://www.w3.org", "").replace("http://purl.org", "")
    outside = outside.replace("http://creativecommons.org", "")
    for loader in ('src="http', 'href="http', "url(http", "<script", "@import"):
        assert loader not in outside


def test_a_finished_study_is_not_repeated(finished, monkeypatch):
    config, out, outcome, _ = finished

    def boom(*_, **__):
        raise AssertionError("a finished stage ran again")

    import imaxray.study.prepare as data
    import imaxray.training as training
    from imaxray.evaluation import generation
    from imaxray.study import execute

    monkeypatch.setattr(data, "build_datasets", boom)
    monkeypatch.setattr(training, "train_dataset", boom)
    monkeypatch.setattr(generation, "answer_model", boom)
    monkeypatch.setattr(execute, "_submit", here)  # in this process, where nothing may run again
    again = run_study(config, out)
    assert again.only.as_dict() == outcome.only.as_dict()


def here(pool, config, out, unit, launch):
    from concurrent.futures import Future

    from imaxray.study.work import do_unit

    future = Future()
    do_unit(config, out, unit)
    future.set_result(None)
    return future


RECORDS = (
    "budgets/phantom--imax-equal-compute.json", "init/init.json", "match.json",
    "runs/dmax/run.json", "runs/imax/evaluation/imax-test/predictions.json",
    "units/train/phantom/imax/seed-0.json",
)  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_that_was_edited_or_removed_is_named(finished, tmp_path, name):
    out = tmp_path / "out"
    shutil.copytree(finished[1], out)
    assert verify_folder(out)[1] == []
    (out / name).unlink()
    assert verify_folder(out)[1] == [name]
    write_state(out / name, {**known_state(finished[1] / name), "steps": 999})
    assert name in verify_folder(out)[1]
    with pytest.raises(ImaxrayError, match=rf"^Expected {re.escape(name)} in .* was changed"):
        write_study_report(out)
    with pytest.raises(ImaxrayError, match=rf"^Expected {re.escape(name)} in .*; put it back"):
        run_study(finished[0], out)


@pytest.mark.parametrize("kind", ["train", "answer"])
def test_an_unfinished_study_does_not_go_on_from_another_manifest(finished, tmp_path, kind):
    config, out = finished[0], tmp_path / "out"
    shutil.copytree(finished[1], out)
    forget_recorded(out)  # as a study does that was started again, and killed
    unit = Unit(kind, "phantom", "imax", 0)
    inner = {"train": "run.json", "answer": "evaluation/imax-test/predictions.json"}[kind]
    path = out / "runs" / "imax" / inner
    before = path.read_bytes()
    write_state(path, {**known_state(path), "entries_seen": 999})
    with pytest.raises(ImaxrayError, match=rf"^Expected runs/imax/{inner} .* the unit {unit.name}"):
        do_unit(config, out, unit)
    with pytest.raises(ImaxrayError, match=rf"^Expected runs/imax/{inner} in .*; put it back"):
        run_unit(config, out, "compare")
    path.write_bytes(before)
    do_unit(config, out, unit)


def test_steps_of_equal_compute_follow_from_counted_operations(finished, tmp_path):
    config, out, outcome, _ = finished
    path = tmp_path / "budgets" / "phantom--imax-equal-compute.json"
    for name in ("budgets", "runs", "units"):
        shutil.copytree(out / name, tmp_path / name)
    before = path.read_bytes()
    write_state(path, {**known_state(path), "steps": 999})  # of a study that is not finished
    arm, steps = "imax (equal compute)", 4
    [run] = outcome.only.runs[arm]
    assert (
        budget_steps(config, tmp_path, "phantom", arm, steps) == run["identity"]["config"]["steps"]
    )
    assert path.read_bytes() == before


def test_answers_without_their_record_are_made_again(finished, tmp_path):
    config, out = finished[0], tmp_path / "out"
    shutil.copytree(finished[1], out)
    folder = answer_folder(out / "runs" / "imax")
    (folder / "predictions.json").unlink()
    do_unit(config, out, Unit("answer", "phantom", "imax", 0))
    for name in ("predictions.json", "predictions.parquet"):
        wanted = answer_folder(finished[1] / "runs" / "imax") / name
        assert (folder / name).read_bytes() == wanted.read_bytes()


def test_building_twice_and_with_two_workers_gives_the_same_sha256(finished, tmp_path):
    config, out, _, _ = finished
    for workers in (1, 2):
        other = tmp_path / f"workers{workers}"
        build_study_data(config.model_copy(update={"workers": workers}), other)
        assert hashes(other) == hashes(out)
        releases = sorted(p for p in (out / "releases").rglob("*") if p.is_file())
        for path in releases:
            twin = other / "releases" / path.relative_to(out / "releases")
            assert twin.read_bytes() == path.read_bytes(), path.name


def test_dmax_has_imax_volume_and_its_test_set(finished):
    import polars as pl

    _, out, _, _ = finished

    def count(name):
        frame = pl.read_parquet(out / name / "entries" / "train.parquet")
        return dict(frame.group_by("task").len().iter_rows())

    assert count("imax") == count("dmax")
    tests = [(out / name / "entries" / "test.parquet").read_bytes() for name in ("imax", "dmax")]
    assert tests[0] == tests[1]


def test_no_test_patient_trains(finished):
    import polars as pl

    _, out, _, _ = finished
    for name in ("catalog", "imax", "dmax"):
        patients = [
            set(pl.read_parquet(out / name / "entries" / f"{s}.parquet")["patient_id"])
            for s in ("train", "test")
        ]
        assert not patients[0] & patients[1]


def test_a_changed_image_is_noticed_by_its_release(finished, tmp_path):
    """A release that lost an image still builds; its row is a reject with a code."""
    import polars as pl

    config, out, _, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(out / "releases", copy / "releases")
    victim = sorted((copy / "releases" / "mimic-cxr-jpg").rglob("*.jpg"))[0]
    victim.write_bytes(victim.read_bytes()[:200])
    build_study_data(config, copy)
    rejects = pl.read_parquet(copy / "catalog" / "rejects.parquet")
    codes = rejects.filter(pl.col("key") == f"mimic-cxr/{victim.stem}")["code"].to_list()
    # the image's own row, and whatever other releases say of it
    assert codes.count("unreadable-image") == 1
    assert set(codes) <= {"unreadable-image", "image-rejected"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("title: [", "YAML"),
        ("title: x\ncolour: blue", "colour"),
        ("title: x\nimax: {min_tasks: 12}", "imax.min_tasks"),
    ],
)
def test_a_bad_config_is_one_sentence(tmp_path, text, match):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(ImaxrayError, match=match) as caught:
        load_config(path)
    assert "\n" not in str(caught.value) or "YAML" in match


def test_a_missing_config_or_root_is_one_sentence(tmp_path):
    with pytest.raises(ImaxrayError, match="configuration"):
        load_config(tmp_path / "none.yaml")
    config = StudyConfig(title="x", root=tmp_path / "nowhere", releases={"vqa-rad": "vqa-rad"})
    with pytest.raises(ImaxrayError, match="--root"):
        build_study_data(config, tmp_path / "out")


@pytest.mark.parametrize("name", ["phantom", "open-cxr"])
def test_shipped_configs_load(name):
    config = load_config(name)
    assert yaml.safe_dump(config.content())


def test_compare_on_run_folders_gives_the_numbers_of_the_study(finished, tmp_path):
    from imaxray.evaluation import CompareConfig, compare_answers

    _, out, outcome, _ = finished
    options = CompareConfig(resamples=100, by=("view", "box-size"))
    found = compare_answers([out / "runs" / "imax"], [out / "runs" / "dmax"], out / "imax", options)
    wanted = outcome.only.equal_entries
    assert found.comparison.as_dict() == wanted.as_dict()  # to the last digit
    assert found.comparison.gain("report") == wanted.as_dict()["tasks"][1]["gains"]["imax"]
    assert found.comparison.mean_gain() == wanted.as_dict()["mean_gain"]["imax"]
    assert set(found.groups) == {"view", "box-size"}
    boxed = [row for one in found.groups["box-size"].values() for row in one.as_dict()["tasks"]]
    assert {row["task"] for row in boxed} <= {"rec", "reg"} and boxed
    frame = found.comparison.to_frame()
    assert frame.height == 2 * 7 + 1
    row = frame.filter(task="rec", arm="imax")
    assert row["value"].item() == wanted.as_dict()["tasks"][4]["arms"]["imax"]["value"]
    assert found.comparison.to_csv().count("\n") == frame.height + 1
    assert columns_of(found.comparison.to_latex(), tmp_path) == [2 + 2 + 2]
    files = [out / "runs" / arm / "evaluation/imax-test/predictions.parquet" for arm in
             ("imax", "dmax")]  # fmt: skip
    # the answers state their dataset, which is found in the study
    of_files = compare_answers(files[:1], files[1:], config=CompareConfig(resamples=100))
    assert of_files.comparison.as_dict() == wanted.as_dict()


def test_unequal_test_sets_are_refused_with_their_difference(finished, tmp_path):
    import polars as pl

    from imaxray.boxes import PERCENT
    from imaxray.evaluation import compare, score

    _, out, _, _ = finished
    tables = open_dataset(out / "imax").tables
    test = tables.split("test")
    answers = test.select("entry_id", pl.lit("yes").alias("text"))
    whole = score(test, answers, tables.images, PERCENT)
    less = score(test.filter(pl.col("task") != "vqa"), answers, tables.images, PERCENT)
    count = test.filter(task="vqa").height
    with pytest.raises(ImaxrayError, match=rf"{count} only by a \(first: .*\) were"):
        compare({"a": whole, "b": less}, reference="a", resamples=100)


def test_the_command_compares_and_writes(finished, tmp_path):
    import subprocess
    import sys

    _, out, outcome, _ = finished
    run = subprocess.run(
        [sys.executable, "-m", "imaxray.cli", "compare", out / "runs" / "imax", "--against",
         out / "runs" / "dmax", "--resamples", "100", "--format", "csv",
         "--out", tmp_path / "compared"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout == (tmp_path / "compared" / "comparison.csv").read_text()
    told = known_state(tmp_path / "compared" / "comparison.json")
    assert told.pop("groups") == {}
    assert told == json.loads(json.dumps(outcome.only.equal_entries.as_dict()))
