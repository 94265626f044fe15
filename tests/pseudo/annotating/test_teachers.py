"""Tests several teachers: who answers what, in which order, and what a change of one does."""

import shutil
import subprocess
import sys
import time

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from imaxray.cli import app
from imaxray.errors import ImaxrayError
from imaxray.pseudo import AnnotateConfig, FilterConfig, annotate, calibrate, filter_folder
from imaxray.pseudo.annotating.sittings import needed, sittings, task_keys
from imaxray.schema import TASKS
from imaxray.tasks import from_json

FEW = {"max_new_tokens": 40, "images_per_batch": 8, "calibration_per_task": 3, "limit": 12}


def with_noise(model, folder, seed):
    """A model whose weights differ a little: almost the same answers, another digest."""
    shutil.copytree(model, folder)
    (path,) = folder.glob("*.safetensors")
    torch.manual_seed(seed)
    weights = {
        name: value + 3e-3 * torch.randn_like(value) if value.is_floating_point() else value
        for name, value in load_file(path).items()
    }
    save_file(weights, path, {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def specialists(run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("specialists")
    return [with_noise(run_folder / "model", folder / str(seed), seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def alone(run_folder, decentralized, tmp_path_factory):
    return annotate(
        run_folder, decentralized, tmp_path_factory.mktemp("alone") / "a", AnnotateConfig(**FEW)
    )


@pytest.fixture(scope="module")
def two(run_folder, specialists, decentralized, tmp_path_factory):
    config = AnnotateConfig(**FEW, teachers={"rec": str(specialists[0])})
    return annotate(run_folder, decentralized, tmp_path_factory.mktemp("two") / "a", config)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def loaded(monkeypatch):
    """The models that are loaded from now on."""
    from imaxray.pseudo.annotating import model_answers

    names, load = [], model_answers.load_model

    def record(name, **options):
        names.append(str(name))
        return load(name, **options)

    monkeypatch.setattr(model_answers, "load_model", record)
    return names


def test_each_task_is_answered_by_its_teacher(two, alone):
    for table in (two.candidates, two.calibration):
        of_rec = table.filter(pl.col("task") == "rec")["checkpoint"].unique().to_list()
        rest = table.filter(pl.col("task") != "rec")["checkpoint"].unique().to_list()
        assert len(of_rec) == len(rest) == 1 and of_rec != rest
    by = two.manifest["answered_by"]
    assert by["rec"]["weights"] == of_rec[0] and by["reg"]["weights"] == rest[0]
    # what no answer of the specialist leads to is what the base model alone says
    same = ["pseudo_id", "text", "answer", "prompt_from", "checkpoint"]
    others = ~pl.col("task").is_in(["rec", "reg"])
    assert two.candidates.filter(others).select(same).equals(alone.candidates.filter(others)[same])
    assert two.calibration["pseudo_id"].equals(alone.calibration["pseudo_id"])


def test_boxes_of_one_teacher_are_prompts_of_the_other(two):
    table = two.candidates.drop_nulls("answer")
    boxes = {
        (image, tuple(box))
        for image, answer in table.filter(pl.col("task") == "rec")
        .select("image_id", "answer").iter_rows()
        for box in from_json(answer)
    }  # fmt: skip
    reg = two.candidates.filter(pl.col("task") == "reg")
    assert reg.height
    assert {(r["image_id"], tuple(r["boxes"][0])) for r in reg.iter_rows(named=True)} <= boxes


def test_the_same_model_as_two_teachers_says_what_it_says_alone(
    run_folder, decentralized, alone, tmp_path
):
    """Its answers pass from sitting to sitting, so nothing may get lost or change its order."""
    copy = shutil.copytree(run_folder / "model", tmp_path / "copy")
    teachers = {"findings": str(copy), "rec": str(copy)}
    config = AnnotateConfig(**FEW, teachers=teachers)
    done = annotate(run_folder, decentralized, tmp_path / "out", config)
    # the copy sits once, between what needs nothing and what needs its boxes
    assert len(list((tmp_path / "out" / "teachers").iterdir())) == 3
    for mine, theirs in (
        (done.candidates, alone.candidates),
        (done.calibration, alone.calibration),
    ):
        assert mine.drop("logprob").equals(theirs.drop("logprob"))
        assert mine["logprob"].to_list() == pytest.approx(theirs["logprob"].to_list(), abs=1e-4)
    assert done.manifest["account"] == alone.manifest["account"]


def test_one_name_for_all_tasks_is_one_sitting(run_folder, decentralized, alone, tmp_path):
    config = AnnotateConfig(**FEW, teachers={"rec": str(run_folder)})
    done = annotate(run_folder, decentralized, tmp_path, config)
    assert len(list((tmp_path / "teachers").iterdir())) == 1
    assert done.candidates.equals(alone.candidates)


def test_killed_and_run_again(two, run_folder, specialists, decentralized, tmp_path):
    out = tmp_path / "out"
    words = ["annotate", run_folder, "--data", decentralized.folder, "--out", out]
    words += ["--teacher", f"rec={specialists[0]}"]
    words += [x for name, value in FEW.items() for x in (f"--{name.replace('_', '-')}", value)]
    command = [sys.executable, "-m", "imaxray.cli", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        # the first sitting is finished and the second one has begun
        if list(out.glob("teachers/*/candidates.parquet")) and list(
            out.glob("teachers/rec-*/annotate.parts/*.parquet")
        ):
            process.kill()
            break
        time.sleep(0.002)
    assert process.wait() == -9, process.stderr.read()
    process.stderr.close()
    assert not (out / "candidates.parquet").exists()
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert files(out) == files(two.folder)
    assert "questions were not asked" in told and "rec is answered by phantom" in told


def test_a_finished_one_loads_no_model(two, run_folder, specialists, decentralized, monkeypatch):
    names = loaded(monkeypatch)
    config = AnnotateConfig(**FEW, teachers={"rec": str(specialists[0])})
    again = annotate(run_folder, decentralized, two.folder, config)
    assert again.candidates.equals(two.candidates) and again.manifest == two.manifest
    assert names == []


def test_another_teacher_answers_only_its_tasks_again(
    two, run_folder, specialists, decentralized, tmp_path, monkeypatch
):
    out = shutil.copytree(two.folder, tmp_path / "out")
    names = loaded(monkeypatch)
    other = AnnotateConfig(**FEW, teachers={"rec": str(specialists[1])})
    with pytest.warns(UserWarning, match=r"Other teachers than before answer rec in"):
        done = annotate(run_folder, decentralized, out, other)
    assert names == [str(specialists[1]), str(run_folder / "model")]  # rec, then reg
    kept = ~pl.col("task").is_in(["rec", "reg"])
    assert done.candidates.filter(kept).equals(two.candidates.filter(kept))
    rec = pl.col("task") == "rec"
    assert not done.candidates.filter(rec).equals(two.candidates.filter(rec))
    # a teacher of one more task: the others stay
    names.clear()
    third = AnnotateConfig(
        **FEW, teachers={"rec": str(specialists[1]), "calculation": str(specialists[0])}
    )
    with pytest.warns(UserWarning, match="calculation"):
        annotate(run_folder, decentralized, out, third)
    assert names == [str(specialists[0])]
    # and back again: nothing is asked, and the bytes are the first ones
    names.clear()
    first = AnnotateConfig(**FEW, teachers={"rec": str(specialists[0])})
    with pytest.warns(UserWarning, match="Other teachers"):
        annotate(run_folder, decentralized, out, first)
    assert names == []
    mine, theirs = files(out), files(two.folder)
    assert {name: mine[name] for name in theirs} == theirs


def test_a_damaged_sitting_is_told(two, run_folder, specialists, decentralized, tmp_path):
    out = shutil.copytree(two.folder, tmp_path / "out")
    (folder,) = (out / "teachers").glob("calculation-*")
    pl.DataFrame({"x": [1]}).write_parquet(folder / "candidates.parquet")
    other = AnnotateConfig(**FEW, teachers={"rec": str(specialists[1])})
    with (
        pytest.warns(UserWarning),
        pytest.raises(ImaxrayError, match=r"candidates.parquet is missing or was changed; remove"),
    ):
        annotate(run_folder, decentralized, out, other)


def test_what_cannot_be_is_one_sentence(two, run_folder, specialists, decentralized, tmp_path):
    with pytest.raises(ImaxrayError, match="but rec is not among grading; add the task"):
        config = AnnotateConfig(tasks=["grading"], teachers={"rec": str(specialists[0])})
        annotate(run_folder, decentralized, tmp_path, config)
    with pytest.raises(ImaxrayError, match=r"choose another --out"):
        annotate(run_folder, decentralized, two.folder, AnnotateConfig(**FEW))
    words = ["annotate", run_folder, "--data", decentralized.folder, "--out", tmp_path / "x"]
    for given_word, match in (("rec", "--teacher TASK=MODEL"), ("locating=x", "locating")):
        done = CliRunner().invoke(app, [*map(str, words), "--teacher", given_word])
        assert isinstance(done.exception, ImaxrayError) and match in str(done.exception)


def test_each_teacher_is_calibrated_by_its_own_answers(two, decentralized, tmp_path):
    entries = decentralized.tables.entries
    found = calibrate(two.calibration, entries, 0.5, risk=None)
    # an answer counts unless its gold answer decides nothing
    counts = dict(two.calibration.group_by("task").len().iter_rows())
    assert all(0 < found.tasks[task].judged <= counts[task] for task in counts)
    done = filter_folder(two.folder, decentralized.folder, tmp_path, FilterConfig(confidence=False))
    train = done.dataset.tables.split("train")
    pseudo = train.filter(pl.col("sources").list.contains("pseudo"))
    assert pseudo.height == done.filtered.kept.height > 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(TASKS), unique=True, min_size=1),
    st.dictionaries(st.sampled_from(TASKS), st.sampled_from("abc")),
)
def test_sittings_cover_each_task_once_after_what_it_needs(some, others):
    tasks = [task for task in TASKS if task in some]
    teachers = {task: others.get(task, "base") for task in tasks}
    found = list(sittings(tasks, teachers))
    assert sorted(t for one in found for t in one.tasks) == sorted(tasks)
    before = set()
    for one in found:
        assert {teachers[task] for task in one.tasks} == {one.teacher}
        before |= set(one.tasks)
        assert all(set(needed(task, tasks)) <= before for task in one.tasks)
    assert len(found) <= 3 * len(set(teachers.values()))


def test_a_key_changes_with_the_teacher_of_a_task_and_of_what_it_needs():
    tasks = list(TASKS)
    first = task_keys(tasks, dict.fromkeys(tasks, "base"), {"seed": 0})
    for task, dependent in (
        ("rec", {"rec", "reg"}),
        ("calculation", {"calculation"}),
        ("findings", {"findings", "vqa", "rec", "reg"}),
        ("reg", {"reg"}),
    ):
        keys = task_keys(tasks, dict.fromkeys(tasks, "base") | {task: "other"}, {"seed": 0})
        assert {name for name in tasks if keys[name] != first[name]} == dependent
    assert not set(task_keys(tasks, dict.fromkeys(tasks, "base"), {"seed": 1}).values()) & set(
        first.values()
    )
