"""Tests a small strategy: written files, repeated work, and resuming after a kill."""

import json
import re
import shutil

import polars as pl
import pytest
import torch
import yaml
from safetensors.torch import load_file

from imaxray._common.state import known_state, write_state
from imaxray._common.verifying import verify_folder
from imaxray.curation import open_dataset, write_dataset
from imaxray.errors import ImaxrayError
from imaxray.models import build_tiny
from imaxray.pseudo.annotating import model_answers
from imaxray.schema import IS_PSEUDO
from imaxray.strategy import (
    AnnotateWork,
    FilterWork,
    StrategyConfig,
    WorkExecutor,
    run_strategy,
    write_strategy_report,
)
from imaxray.training import load_recipe, train_dataset
from imaxray.training.trainer import LearningCurve
from imaxray.viewer.opening.subject import open_subject

STAGES = [
    {"name": "dmax", "on": "dmax", "start": "base", "steps": 120},
    {"name": "pseudo-imax", "on": "pseudo", "steps": 4, "learning_rate": 5e-4},
    {"name": "finish", "on": "dmax", "steps": 2, "learning_rate": 5e-4},
]


def weights(folder):
    [file] = [
        *(folder / "model").glob("*.safetensors"),
        *(folder / "adapter").glob("*.safetensors"),
    ]
    return load_file(file)


def same(one, other):
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.fixture(scope="module")
def finished(make_strategy, tmp_path_factory):
    out = tmp_path_factory.mktemp("strategy") / "out"
    told = []
    config = make_strategy(stages=STAGES)
    return config, out, run_strategy(config, out, tell=told.append, progress=False), told


def test_the_viewer_shows_the_stages_and_the_answers_of_the_model(finished):
    config, out, _, _ = finished
    subject = open_subject([out], data=config.data)
    assert list(subject.arms) == ["1-dmax", "2-pseudo-imax", "3-finish"]
    written = pl.read_parquet(out / "pseudo" / "round-1" / "candidates" / "candidates.parquet")
    assert subject.candidates is not None
    assert subject.candidates["pseudo_id"].to_list() == written["pseudo_id"].to_list()
    assert subject.notes == ()


def test_each_stage_is_a_run_of_its_own(finished):
    config, out, outcome, told = finished
    assert [done.work.name for done in outcome.done] == [
        "1-dmax", "round-1/candidates", "round-1/dataset", "2-pseudo-imax", "3-finish",
    ]  # fmt: skip
    manifests = [
        json.loads((out / "stages" / name / "run.json").read_text())
        for name in ("1-dmax", "2-pseudo-imax", "3-finish")
    ]
    assert [m["identity"]["layout"] for m in manifests] == ["packed"] * 3
    assert [m["entries_seen"] for m in manifests] == [16 * 120, 16 * 4, 16 * 2]
    real, pseudo = (open_dataset(p).sha256 for p in (config.data, out / "pseudo/round-1/dataset"))
    assert [m["identity"]["dataset"] for m in manifests] == [real, pseudo, real]
    # each starts from the weights that the one before ended with
    starts = [m["identity"]["weights"] for m in manifests]
    assert len(set(starts)) == 3
    assert outcome.final == out / "stages" / "3-finish"
    assert len(told) == 5 and "120 steps" in told[0] and "kept" in told[2]


def test_pseudo_imax_is_real_entries_and_pseudo_ones_on_train_images(finished, dmax):
    out = finished[1]
    made = open_dataset(out / "pseudo" / "round-1" / "dataset").tables
    pseudo = made.entries.filter(IS_PSEUDO)
    assert pseudo.height == finished[2].done[2].record["kept"] > 0
    assert made.entries.filter(~pl.col(IS_PSEUDO)).height == dmax.tables.entries.height
    assert set(pseudo["split"]) == {"train"}
    assert pseudo["quality"].unique().to_list() == ["pseudo/phantom"]
    drawn = pl.read_parquet(out / "stages" / "2-pseudo-imax" / "schedule.parquet")["entry_id"]
    assert set(drawn) & set(pseudo["entry_id"])


def test_stages_are_scored_and_compared(finished):
    _, out, outcome, _ = finished
    data = outcome.comparison.as_dict()
    assert data["reference"] == "1-dmax" and data["arms"] == ["1-dmax", "2-pseudo-imax", "3-finish"]
    assert {t["task"] for t in data["tasks"]} >= {"vqa", "findings", "report"}
    assert known_state(out / "comparison.json") == data
    for name in data["arms"]:
        assert (out / "stages" / name / "evaluation" / "test" / "result.json").is_file()
    record = json.loads((out / "strategy.json").read_text())
    assert record["final"] == "stages/3-finish" and len(record["done"]) == 5
    assert str(out) not in json.dumps(record)
    assert any("mean relative gain" in line for line in outcome.summary())
    yields = [row for row in outcome.done[2].record["yields"] if row["task"] == "all"]
    assert {row["filter"] for row in yields} == {"none", "consistency"}
    assert all(row["judged"] > 0 for row in yields)  # the catalog knows the truth


def test_the_report_says_what_the_comparison_says(finished, tmp_path):
    _, out, outcome, _ = finished
    page = write_strategy_report(out, tmp_path / "report.html").read_text(encoding="utf-8")
    gain = outcome.comparison.as_dict()["mean_gain"]["3-finish"]["value"]
    verdict = re.search(r'<p class="verdict">(.*?)</p>', page)[1]
    assert "3-finish" in verdict and f"{100 * gain:+z.1f}\N{NO-BREAK SPACE}%" in verdict
    kept = outcome.done[2].record["kept"]
    assert f"<b>{kept:,}</b>" in page
    for name in ("stages", "results", "yields", "provenance"):
        assert page.count(f'download="{name}.csv"') == 1, name
    assert "Not shown: Methods" not in page and "<script" not in page
    with pytest.raises(ImaxrayError, match=r"Expected a finished strategy with strategy\.json"):
        write_strategy_report(tmp_path)


def test_a_finished_strategy_is_not_repeated(finished, monkeypatch):
    config, out, outcome, _ = finished
    for name in ("train_dataset", "annotate", "filter_annotations", "write_pseudo"):
        monkeypatch.setattr(f"imaxray.strategy.executor.{name}", lambda *_, **__: pytest.fail())
    again = run_strategy(config, out, progress=False)
    assert not any(done.done_now for done in again.done)
    assert again.comparison.as_dict() == outcome.comparison.as_dict()


RECORDS = (
    "init/init.json", "pseudo/round-1/candidates.json", "pseudo/round-1/candidates/annotate.json",
    "pseudo/round-1/dataset/manifest.json", "stages/1-dmax.json", "stages/1-dmax/run.json",
    "stages/3-finish/evaluation/test/predictions.json",
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
        write_strategy_report(out)
    if not name.endswith("manifest.json"):  # whose dataset is held against a hidden file
        with pytest.raises(ImaxrayError, match=rf"^Expected {re.escape(name)} in .*; put it back"):
            run_strategy(finished[0], out, progress=False)


def test_a_change_repeats_a_stage_and_the_later_ones(finished, make_strategy, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(finished[1], out)
    stages = [*STAGES[:2], {**STAGES[2], "learning_rate": 1e-3}]
    again = run_strategy(make_strategy(stages=stages), out, progress=False)
    assert [done.done_now for done in again.done] == [False, False, False, False, True]
    assert same(
        weights(out / "stages/2-pseudo-imax"), weights(finished[1] / "stages/2-pseudo-imax")
    )
    assert not same(weights(again.final), weights(finished[2].final))


def test_killed_anywhere_and_begun_again_gives_the_same(
    finished, make_strategy, tmp_path, monkeypatch
):
    config, _, outcome, _ = finished
    out = tmp_path / "out"
    original = LearningCurve.on_step_end
    stops = {("dmax", 7), ("pseudo-imax", 3)}

    def killed(self, args, state, control, **kwargs):
        original(self, args, state, control, **kwargs)
        here = (str(args.output_dir).split("/")[-2].split("-", 1)[1], state.global_step)
        if here in stops:
            stops.discard(here)
            raise KeyboardInterrupt

    def cut(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(LearningCurve, "on_step_end", killed)
    with monkeypatch.context() as patch:
        patch.setattr("imaxray.strategy.executor.write_pseudo", cut)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                run_strategy(config, out, progress=False)
    with pytest.raises(KeyboardInterrupt):
        run_strategy(config, out, progress=False)
    again = run_strategy(config, out, progress=False)
    assert not stops
    assert same(weights(again.final), weights(outcome.final))
    assert again.comparison.as_dict() == outcome.comparison.as_dict()


def test_a_stage_is_trained_towards_the_distributions_of_the_annotator(
    make_strategy, finished, tmp_path
):
    out = tmp_path / "out"
    shutil.copytree(finished[1], out)
    soft = [STAGES[0], {**STAGES[1], "target": "soft"}]
    asked = {**finished[0].annotate.model_dump(exclude={"seed", "round"}), "top_k": 5}
    outcome = run_strategy(make_strategy(stages=soft, annotate=asked), out, progress=False)
    assert [done.done_now for done in outcome.done] == [False, True, True, True]
    before = finished[1] / "stages" / "2-pseudo-imax"
    drawn = [pl.read_parquet(run / "schedule.parquet") for run in (before, outcome.final)]
    assert drawn[0].equals(drawn[1])  # the same entries, which have other targets
    assert not same(weights(before), weights(outcome.final))


def test_a_specialist_answers_its_task_and_is_no_result(make_strategy, dmax, tmp_path, monkeypatch):
    stages = [
        {"name": "dmax", "on": "dmax", "start": "base"},
        {"name": "locator", "on": "dmax", "tasks": ["rec"], "steps": 2},
        {"name": "pseudo-imax", "on": "mix", "real_share": 0.5, "steps": 2},
    ]
    asked = {
        "max_new_tokens": 24, "rec_per_image": 1, "reg_per_image": 1, "vqa_per_image": 1,
        "limit": 8, "calibration_per_task": 2,
    }  # fmt: skip
    config = make_strategy(stages=stages, annotate={**asked, "teachers": {"rec": "locator"}})
    outcome = run_strategy(config, tmp_path)
    schedule = pl.read_parquet(tmp_path / "stages" / "2-locator" / "schedule.parquet")
    rec = dmax.tables.split("train").filter(pl.col("task") == "rec")["entry_id"]
    assert set(schedule["entry_id"]) <= set(rec)
    assert outcome.final.name == "3-pseudo-imax"
    assert outcome.comparison.others == ["3-pseudo-imax"]
    candidates = pl.read_parquet(tmp_path / "pseudo/round-1/candidates/candidates.parquet")
    by = dict(candidates.select("task", "checkpoint").unique().iter_rows())
    assert by["rec"] != by["calculation"] == by["vqa"]
    assert "1-dmax, 2-locator (rec) wrote" in outcome.summary()[2]
    # another specialist: the model answers nothing again that does not depend on it
    stages[1]["steps"] = 3
    names = []
    load = model_answers.load_model
    monkeypatch.setattr(
        model_answers, "load_model", lambda name, **o: names.append(str(name)) or load(name, **o)
    )
    with pytest.warns(UserWarning, match="Other teachers than before answer rec"):
        run_strategy(
            make_strategy(stages=stages, annotate={**asked, "teachers": {"rec": "locator"}}),
            tmp_path,
        )
    assert "2-locator" in names[0] and all("1-dmax" in name for name in names[1:])
    kept = pl.read_parquet(tmp_path / "pseudo/round-1/candidates/candidates.parquet")
    others = ~pl.col("task").is_in(["rec", "reg"])
    assert kept.filter(others).equals(candidates.filter(others))


def test_two_rounds_annotate_with_the_better_model(make_strategy, finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[1], out)
    config = make_strategy(stages=STAGES, rounds=2)
    outcome = run_strategy(config, out, progress=False)
    assert [d.done_now for d in outcome.done] == [False] * 5 + [True] * 4
    assert [d.record.get("by") for d in outcome.done if "by" in d.record] == ["1-dmax", "3-finish"]
    second = pl.read_parquet(out / "pseudo" / "round-2" / "candidates" / "candidates.parquet")
    assert second["round"].unique().to_list() == [2]
    assert outcome.final.name == "5-finish"


def test_the_validation_split_may_choose(make_strategy, finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[1], out)
    outcome = run_strategy(make_strategy(stages=STAGES, choose="validation"), out, progress=False)
    assert not any(done.done_now for done in outcome.done)  # nothing is trained for it
    gains = outcome.choice.gains
    assert list(gains) == ["1-dmax", "2-pseudo-imax", "3-finish"] and gains["1-dmax"] == 0
    assert outcome.final.name == max(gains, key=gains.get)
    record = json.loads((out / "strategy.json").read_text())
    assert record["validation"] == gains and record["final"] == f"stages/{outcome.final.name}"
    assert outcome.summary()[-1] == outcome.choice.sentence()


def test_the_filter_uses_the_clinical_rules_of_the_data(make_strategy, dmax, tmp_path, monkeypatch):
    block = {"ctr-cardiomegaly": {"thresholds": {"margin": 0.25}}}
    write_dataset(dmax.tables, tmp_path / "data", config={"clinical": block}, seed=0)
    given = []

    def stop(*_, rules, **__):
        given.extend(rules)
        raise KeyboardInterrupt

    monkeypatch.setattr("imaxray.strategy.executor.filter_annotations", stop)
    data = open_dataset(tmp_path / "data")
    executor = WorkExecutor(make_strategy(), data, "base", lambda work: tmp_path / work.name)
    with pytest.raises(KeyboardInterrupt):
        executor.do(
            FilterWork("key", "filter", 1, AnnotateWork("key", "candidates", 1, None, 0, None))
        )
    [rule] = [rule for rule in given if rule.name == "ctr-cardiomegaly"]
    assert rule.contradict[1].first.above == 0.75


def test_other_files_are_left_alone(make_strategy, tmp_path):
    (tmp_path / "stages" / "1-dmax").mkdir(parents=True)
    (tmp_path / "stages" / "1-dmax" / "thesis.tex").write_text("mine")
    with pytest.raises(ImaxrayError, match="other files"):
        run_strategy(make_strategy(), tmp_path, progress=False)
    assert (tmp_path / "stages" / "1-dmax" / "thesis.tex").read_text() == "mine"


def test_adapters_go_on_from_stage_to_stage(folders, tmp_path):
    """LoRA on a registry family: base + adapter are loaded and trained on, never merged."""
    build_tiny("qwen2_5_vl").save(tmp_path / "tiny")
    tasks = open_dataset(folders / "dmax").tables.split("train")["task"].unique().to_list()
    first = load_recipe(
        None, model=str(tmp_path / "tiny"), method="full", steps=120, entries_per_step=8,
        learning_rate=3e-3, weights={task: float(task == "grading") for task in tasks},
    )  # fmt: skip
    qwen = train_dataset(folders / "dmax", tmp_path / "base", first, progress=False).weights
    config = StrategyConfig(
        data=folders / "dmax",
        model=str(qwen),
        training={"entries_per_step": 4, "learning_rate": 1e-4, "lora": {"rank": 2, "alpha": 4}},
        stages=[
            {"name": "dmax", "on": "dmax", "start": "base", "steps": 3},
            {"name": "mixed", "on": "mix", "real_share": 0.1, "pseudo_weight": 0.5, "steps": 10},
            {"name": "again", "on": "dmax", "start": "dmax", "steps": 1},
        ],
        annotate={
            "tasks": ["grading"],
            "max_new_tokens": 12,
            "limit": 20,
            "calibration_per_task": 1,
        },
        filter={"confidence": False, "consistency": False},
        max_new_tokens=2,
        resamples=100,
    )
    outcome = run_strategy(config, tmp_path / "out", progress=False)
    stages = {done.work.name: done for done in outcome.done}
    adapters = {name: weights(stages[name].folder) for name in ("1-dmax", "2-mixed", "3-again")}
    assert all("lora_" in key for tensors in adapters.values() for key in tensors)
    assert adapters["1-dmax"].keys() == adapters["2-mixed"].keys()
    started = {
        name: json.loads((stages[name].folder / "started.json").read_text())["weights"]
        for name in adapters
    }
    assert started["3-again"] == started["2-mixed"] != started["1-dmax"]
    assert not same(adapters["1-dmax"], adapters["3-again"])
    made = open_dataset(stages["round-1/dataset"].folder).tables.entries
    pseudo = set(made.filter(IS_PSEUDO)["entry_id"])
    drawn = pl.read_parquet(stages["2-mixed"].folder / "schedule.parquet")["entry_id"].to_list()
    assert len(drawn) == 40 and 0 < sum(entry in pseudo for entry in drawn) < 10


def test_one_command_tells_stage_by_stage(finished, tmp_path):
    from typer.testing import CliRunner

    from imaxray.cli import app

    config, out, _, _ = finished
    path = tmp_path / "strategy.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True)))
    shown = CliRunner().invoke(app, ["strategy", str(path), "--out", str(out)])
    assert shown.exit_code == 0, shown.output
    for part in (
        "1-dmax: trained on dmax from base",
        "(already done)",
        "candidates kept",
        "Stages on the test split",
        "Pseudo entries",
        "mean relative gain",
        "3-finish",
    ):
        assert part in shown.output
