"""Tests a small ablation: the work that arms share, the steps of each arm, and the tables."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from imaxray.ablation import (
    AblationConfig,
    ablation_tables,
    load_study,
    run_ablation,
    write_ablation,
)
from imaxray.ablation.config import AGAIN, ARMS, CHOSEN, EQUAL_COMPUTE, REFERENCE, WHOLE
from imaxray.errors import ImaxrayError
from imaxray.study import StudyConfig
from imaxray.training import AugmentConfig

TINY = {
    "title": "Tiny ablation",
    "phantom": {"images": 90, "seed": 1},
    "workers": 1,
    "imax": {"min_tasks": 5, "max_entries_per_task": 1, "eval_entries_per_task": 6},
    "model": {
        "image_size": 32, "patch_size": 16, "width": 32, "vision_layers": 1, "text_layers": 1,
        "vocabulary": 400,
    },
    "training": {
        "entries_per_step": 12, "log_every": 2, "save_every": 100, "optimizer": "muon",
        "learning_rate": 4e-3, "muon_learning_rate": 8e-3, "augment": {"rotation": 1},
    },
    "evaluation": {"max_new_tokens": 8, "resamples": 100},
    "strategy": {
        "stages": [
            {"name": "dmax", "on": "dmax", "start": "base", "steps": 60},
            {"name": "pseudo-imax", "on": "pseudo", "steps": 4},
            {"name": "finish", "on": "dmax", "steps": 2},
        ],
        "annotate": {"max_new_tokens": 24, "limit": 12, "rec_per_image": 1, "reg_per_image": 1},
        "filter": {"precision": 0.5, "risk": None},
    },
    "ablation": {"seeds": [5], "lanes": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("ablation") / "out"
    config = AblationConfig.model_validate(TINY)
    outcome = run_ablation(config, out)
    return config, out, outcome, write_ablation(outcome)


def test_all_arms_but_one_take_the_same_steps(finished):
    config, out, outcome, _ = finished
    assert tuple(outcome.arms) == ARMS
    for arm, runs in outcome.arms.items():
        assert [run["seed"] for run in runs] == [5]
        if arm != EQUAL_COMPUTE:
            assert {run["steps"] for run in runs} == {config.steps} == {66}
            assert {run["entries_seen"] for run in runs} == {66 * 12}
    [run], [whole], [plain] = (outcome.arms[a] for a in (EQUAL_COMPUTE, WHOLE, REFERENCE))
    cost = whole["train_seconds"] + whole["pseudo_seconds"]
    assert run["steps"] == round(cost / (plain["train_seconds"] / plain["steps"]))
    decided = json.loads((out / "seed-5" / "equal-compute.json").read_text())
    assert decided["steps"] == run["steps"]


def test_every_stage_of_every_arm_is_augmented_alike(finished):
    _, out, _, _ = finished
    runs = [json.loads(path.read_text()) for path in out.glob("seed-*/stages/*/run.json")]
    told = {json.dumps(run["identity"]["config"]["augment"]) for run in runs}
    assert told == {json.dumps(AugmentConfig(rotation=1).model_dump())}
    assert {run["identity"]["layout"] for run in runs} == {"packed", "separate"}


def test_shared_work_is_done_once(finished):
    _, out, outcome, _ = finished
    first = {arm: runs[0]["work"] for arm, runs in outcome.arms.items()}
    again = first.pop(AGAIN)
    assert again[0] == first[WHOLE][0] and all("pseudo/" not in work for work in again)
    begun = {work[0] for arm, work in first.items() if len(work) > 1}
    assert len(begun) == 1  # one stage 1 for all that have stages
    asked = {work[1] for work in first.values() if len(work) > 1}
    assert len(asked) == 1  # and one annotation for all filters
    assert first[CHOSEN] == first[WHOLE]
    filtered = {arm: work[2] for arm, work in first.items() if len(work) > 1}
    assert filtered["+ both filters"] == filtered[WHOLE] == filtered["two rounds"]
    assert len(set(filtered.values())) == 6
    assert len(first["two rounds"]) == 9
    candidates = sorted((out / "seed-5" / "pseudo").glob("*candidates*/"))
    assert len([p for p in candidates if p.is_dir()]) == 2


def test_the_validation_split_chooses_among_the_stages(finished):
    _, out, outcome, _ = finished
    [whole], [chosen] = outcome.arms[WHOLE], outcome.arms[CHOSEN]
    stages = [work for work in whole["work"] if "/stages/" in work]
    assert chosen["run"] in stages and chosen["pseudo_seconds"] > whole["pseudo_seconds"]
    assert all((out / stage / "predictions-val.parquet").is_file() for stage in stages)
    # whichever it is, its answers to the test split are those of the stage
    assert (out / chosen["run"] / "predictions.parquet").is_file()


def test_tables_say_everything(finished):
    _, out, outcome, written = finished
    text = written.read_text()
    for part in (*ARMS, "Precision of pseudo labels", "Precision at equal yield", "gain over"):
        assert part in text
    assert len(ablation_tables(outcome)) == 4
    rows = list(csv.DictReader((out / "ablation.csv").open()))
    assert {row["arm"] for row in rows} == set(ARMS)
    means = {row["arm"]: row for row in rows if row["task"] == "mean"}
    gain = outcome.equal_steps.as_dict()["mean_gain"][WHOLE]
    assert float(means[WHOLE]["gain_equal_steps"]) == gain["value"]
    assert means[REFERENCE]["gain_equal_steps"] == "" != means[REFERENCE]["gain_equal_compute"]
    data = json.loads((out / "ablation.json").read_text())
    assert data["equal_steps"]["seeds"] == dict.fromkeys(ARMS, 1)
    assert {row["seed"] for row in data["pseudo"]} == {5}
    assert {row["filter"] for row in data["pseudo"]} == {
        "none", "confidence", "consistency", "both", "balance",
    }  # fmt: skip


def test_a_finished_ablation_is_not_repeated(finished):
    config, out, outcome, _ = finished
    before = {p: p.stat().st_mtime_ns for p in out.glob("seed-*/*/*/run.json")}
    again = run_ablation(config, out)
    assert before == {p: p.stat().st_mtime_ns for p in out.glob("seed-*/*/*/run.json")}
    assert again.equal_steps.as_dict() == outcome.equal_steps.as_dict()


def test_arms_are_the_strategy_with_parts_left_out():
    config = AblationConfig.model_validate(TINY)

    def arm(name):
        return config.arm(name, Path("out"), Path("init"), 3)

    assert [s.name for s in arm("+ pseudo").stages] == ["dmax", "pseudo-imax"]
    assert arm("+ pseudo").stages[1].steps == 6 and not arm("+ pseudo").filter.confidence
    assert not arm("+ consistency").filter.confidence and arm("+ consistency").filter.consistency
    assert arm(WHOLE).stages == config.strategy.stages and arm(WHOLE).filter.confidence
    assert [s.on for s in arm(AGAIN).stages] == ["dmax"] * 3
    assert [s.steps for s in arm(AGAIN).stages] == [60, 4, 2]
    assert arm("+ right ones").filter.perfect and not arm("+ right ones").filter.confidence
    assert arm("two rounds").rounds == 2
    assert [s.steps for s in arm("two rounds").stages] == [60, 2, 1]
    assert arm("imax").data == Path("out/imax") and arm("imax").stages[0].layout == "packed"
    rules = config.strategy.filter.model_copy(update={"rules": Path("own.yaml")})
    own = config.strategy.model_copy(update={"filter": rules})
    config = config.model_copy(update={"strategy": own})
    # the arms without consistency keep the file, so that their keys stay what they are
    assert {arm(name).filter.rules for name in ARMS if name != EQUAL_COMPUTE} == {Path("own.yaml")}
    assert all(arm(name).seed == 3 for name in ARMS if name != EQUAL_COMPUTE)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"strategy": {"stages": [{"name": "a", "on": "dmax", "epochs": 1}]}}, "steps"),
        ({"strategy": {"rounds": 2, **TINY["strategy"]}}, "one round"),
        ({"strategy": {"model": "qwen", **TINY["strategy"]}}, "leave model out"),
        ({"ablation": {"arms": ["imax"]}}, "compared with"),
        ({"ablation": {"arms": ["dmax", "+ magic"]}}, "ablation.arms"),
    ],
)
def test_a_bad_ablation_is_one_sentence(tmp_path, change, match):
    path = tmp_path / "ablation.yaml"
    path.write_text(yaml.safe_dump({**TINY, **change}))
    with pytest.raises(ImaxrayError, match=match):
        load_study(path)


def test_the_shipped_ablation_loads_and_other_studies_stay_what_they_are():
    found = load_study("ablation")
    assert isinstance(found, AblationConfig) and found.needed() == ARMS
    assert type(load_study("phantom")) is StudyConfig
