"""Tests studies over several models and arms, done as a whole and unit by unit."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import Future

import pytest
import yaml
from safetensors.torch import load_file

from imaxray._common.verifying import verify_folder
from imaxray.errors import ImaxrayError
from imaxray.models import build_tiny
from imaxray.study import StudyConfig, execute, run_study, run_unit, study_units, unit_states
from imaxray.study import units as units_module
from imaxray.study.execute import require_all
from imaxray.study.results.outcome import layout_pairs
from imaxray.study.units import needs
from latex_tables import columns_of
from torture.same import differences, tree

CONFIG = {
    "title": "Two models, five arms",
    "phantom": {"images": 90, "seed": 1},
    "workers": 1,
    "imax": {"min_tasks": 5, "max_entries_per_task": 1, "eval_entries_per_task": 4},
    "models": {
        "phantom": {
            "phantom": {
                "image_size": 32, "patch_size": 16, "width": 32, "vision_layers": 1,
                "text_layers": 1, "vocabulary": 400,
            }
        },
        "gemma": {"tiny": {"family": "gemma3"}, "training": {"learning_rate": 0.002}},
    },
    "arms": {
        "dmax": {"data": "dmax"},
        "imax": {"data": "imax"},
        "imax (equal compute)": {"data": "imax", "budget": "compute"},
        "dmax, separate": {"data": "dmax", "layout": "separate"},
        "untrained": {"budget": "none"},
    },
    "training": {
        "entries_per_step": 12, "steps": 4, "log_every": 2, "save_every": 2, "eval_every": 2,
    },
    "evaluation": {"max_new_tokens": 4, "resamples": 100, "examples": 1},
}  # fmt: skip
MODELS, ARMS = ("phantom", "gemma"), tuple(CONFIG["arms"])


def config(**changes):
    return StudyConfig.model_validate({**CONFIG, **changes})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    return out, run_study(config(), out)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The same study, unit by unit."""
    out = tmp_path_factory.mktemp("single") / "out"
    for unit in study_units(config()):
        if unit.kind == "compare":
            outcome = run_unit(config(), out, unit.name)
        else:
            assert run_unit(config(), out, unit.name) is None
    return out, outcome


def test_every_model_is_trained_in_every_arm_and_answers(whole):
    out, outcome = whole
    assert tuple(outcome.models) == MODELS
    for model in MODELS:
        found = outcome.models[model]
        assert set(found.scores) == {"constant", *ARMS}
        for arm in ARMS:
            runs = found.runs[arm]
            assert len(runs) == (arm != "untrained")
            assert all(run["entries_seen"] == 48 for run in runs if "compute" not in arm)
            answers = out / "runs" / model / units_module.folder_name(arm) / "evaluation/imax-test"
            assert (answers / "predictions.parquet").is_file()
        assert found.runs["dmax"][0]["identity"]["layout"] == "packed"
        assert found.runs["dmax, separate"][0]["identity"]["layout"] == "separate"
        assert len({run["identity"]["weights"] for arm in ARMS for run in found.runs[arm]}) == 1
    rates = [
        outcome.models[m].runs["dmax"][0]["identity"]["config"]["learning_rate"] for m in MODELS
    ]
    assert rates == [0.001, 0.002]


def test_the_views_hold_the_arms_of_their_budget(whole):
    _, outcome = whole
    found = outcome.models["gemma"]
    equal = found.equal_entries.as_dict()["arms"]
    assert equal == ["dmax", "imax", "dmax, separate", "untrained"]
    assert found.equal_compute.as_dict()["arms"] == ["dmax", "imax (equal compute)"]
    [effect] = found.layouts
    assert (effect.arm, effect.other, effect.data) == ("dmax", "dmax, separate", "dmax")
    assert effect.speed > 0
    clock = found.clock
    assert clock["arm"].to_list() == [arm for arm in ARMS if arm != "untrained"]
    assert clock.filter(arm="dmax")["share"].item() == 1.0
    assert clock.filter(arm="dmax")["entries_then"].item() == 48
    assert clock.filter(arm="dmax")["loss_then"].item() is not None
    said = " ".join(outcome.summary())
    assert "gemma: At equal compute" in said and "times as long as dmax" in said


def test_one_table_over_models_keeps_stated_numbers_apart(whole, tmp_path):
    out, outcome = whole
    table = outcome.table
    assert set(table.frame["model"]) == set(MODELS)
    assert {line.arm for line in table.over} == set(ARMS) - {"dmax"}
    mean = outcome.models["gemma"].equal_entries.as_dict()["mean_gain"]["imax"]
    row = table.frame.filter(view="equal entries", arm="imax", model="gemma", task="mean")
    cells = [None if mean is None else mean[key] for key in ("value", "low", "high")]
    assert list(row.select("gain", "low", "high").row(0)) == cells
    latex = (out / "models.tex").read_text()
    assert columns_of(latex, tmp_path) == [9] * len(table.over)
    assert latex.count("the paper states") == len(
        [x for x in table.over if x.arm.startswith("imax")]
    )
    assert "measured" not in latex.split("the paper states")[1].split("\n")[0]
    assert (out / "models.csv").read_text().startswith("view,arm,model,task,gain,low,high")


def test_verify_compares_every_folder_of_a_study(whole):
    out, _ = whole
    manifests, changed = verify_folder(out)
    assert manifests.startswith("the digests in ") and changed == []
    for place in ("comparison.json", "runs/gemma/dmax/evaluation/imax-test/predictions.parquet"):
        path = out / place
        before = path.read_bytes()
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        found = verify_folder(out)[1]
        path.write_bytes(before)
        assert found == [place]


def test_units_one_by_one_give_the_same_bytes_as_the_whole(whole, single):
    (first, one), (second, two) = whole, single
    for model in MODELS:
        for arm in ARMS:
            place = f"runs/{model}/{units_module.folder_name(arm)}"
            if arm != "untrained":
                weights = [
                    load_file(out / place / "model/model.safetensors") for out in (first, second)
                ]
                if "compute" not in arm:
                    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
            if "compute" in arm:
                continue
            answers = [
                (out / place / "evaluation/imax-test/predictions.parquet").read_bytes()
                for out in (first, second)
            ]
            assert answers[0] == answers[1], (model, arm)
        assert (
            one.models[model].equal_entries.as_dict() == two.models[model].equal_entries.as_dict()
        )


def test_the_list_tells_what_is_done(single, tmp_path):
    out, _ = single
    assert set(unit_states(config(), out).values()) == {"done"}
    fresh = unit_states(config(), tmp_path)
    assert fresh.pop("data") == "ready" and set(fresh.values()) == {"waiting"}


def test_rounds_of_ready_units_do_the_whole_study(single):
    """As the pages on Slurm and Ray tell it."""
    out, _ = single
    for folder in ("train", "answer"):
        for path in sorted((out / "units" / folder / "gemma").rglob("*.json")):
            path.unlink()
    (out / "units" / "compare.json").unlink()
    rounds = []
    while ready := [n for n, state in unit_states(config(), out).items() if state == "ready"]:
        rounds.append(ready)
        for name in ready:
            run_unit(config(), out, name)
    kinds = [{name.partition("/")[0] for name in names} for names in rounds]
    assert kinds == [{"train", "answer"}, {"train", "answer"}, {"answer"}, {"compare"}]
    assert set(unit_states(config(), out).values()) == {"done"}


def test_a_finished_unit_is_done_for_a_configuration_that_asks_for_the_same(single):
    """A further arm changes the configuration, and no finished training."""
    out, _ = single
    more = config(arms={**CONFIG["arms"], "dose 3": {"data": "dmax", "tasks_per_image": 3}})
    run_unit(more, out, "data")
    before = (out / "runs/gemma/dmax/run.json").stat().st_mtime_ns
    for kind in ("base", "train", "answer"):
        run_unit(more, out, f"{kind}/gemma/{'' if kind == 'base' else 'dmax/'}seed-0")
    states = unit_states(more, out)
    assert states["train/gemma/dmax/seed-0"] == states["answer/gemma/dmax/seed-0"] == "done"
    assert (out / "runs/gemma/dmax/run.json").stat().st_mtime_ns == before


def test_a_unit_of_another_configuration_is_not_done(whole):
    out, _ = whole
    states = unit_states(config(training={**CONFIG["training"], "steps": 5}), out)
    assert states["data"] == "done" and states["base/gemma/seed-0"] == "done"
    assert states["train/gemma/dmax/seed-0"] == "ready"
    assert states["answer/gemma/dmax/seed-0"] == "waiting"


def test_a_unit_whose_needs_are_missing_says_so(tmp_path):
    with pytest.raises(ImaxrayError, match="run the unit data first"):
        run_unit(config(), tmp_path, "train/gemma/imax/seed-0")
    with pytest.raises(ImaxrayError, match="did you mean train/gemma/imax/seed-0"):
        run_unit(config(), tmp_path, "train/gema/imax/seed-0")


def test_an_answer_before_its_training_is_refused(whole, tmp_path):
    import shutil

    out = tmp_path / "out"
    out.mkdir()
    for name in ("imax", "dmax", "catalog", "init", "releases"):
        (out / name).symlink_to(whole[0] / name)
    shutil.copytree(whole[0] / "units" / "base", out / "units" / "base")
    with pytest.raises(ImaxrayError, match=r"first: train/gemma/imax/seed-0"):
        run_unit(config(), out, "answer/gemma/imax/seed-0")


def test_a_failed_unit_names_itself_and_does_not_stop_the_others(monkeypatch, tmp_path):
    done = []

    def submit(pool, config, out, unit, launch):
        future = Future()
        if unit.kind == "train" and unit.arm == "imax" and unit.model == "gemma":
            future.set_exception(ImaxrayError("Memory ran out."))
        else:
            done.append(unit.name)
            future.set_result(None)
        return future

    monkeypatch.setattr(execute, "_submit", submit)
    monkeypatch.setattr(execute, "_totals", lambda *_: {})
    monkeypatch.setattr(execute, "_show", lambda *_: None)
    work = [unit for unit in study_units(config()) if unit.kind in ("train", "answer")]
    failed = execute.execute(config(), tmp_path, work)
    assert failed == {"train/gemma/imax/seed-0": "Memory ran out."}
    lost = {
        unit.name
        for unit in work
        if unit.model == "gemma" and unit.arm in ("imax", "imax (equal compute)")
    }
    assert set(done) == {unit.name for unit in work} - lost
    with pytest.raises(ImaxrayError, match=r"1 failed \(train/gemma/imax/seed-0: Memory ran out\)"):
        require_all(failed, len(work))


def test_equal_compute_waits_for_the_runs_that_are_measured():
    [unit] = [
        unit for unit in study_units(config())
        if unit.kind == "train" and unit.model == "gemma" and "compute" in unit.arm
    ]  # fmt: skip
    names = {other.name for other in needs(config(), unit)}
    assert names == {
        "base/gemma/seed-0", "train/gemma/dmax/seed-0", "train/gemma/imax/seed-0",
    }  # fmt: skip
    assert layout_pairs(config()) == [("dmax", "dmax, separate")]


def test_two_processes_do_a_unit_once_and_a_killed_one_is_finished(whole, tmp_path):
    """One of the two is told who is at work, or finds the unit done; a kill leaves no trace."""
    out = tmp_path / "out"
    out.mkdir()
    for name in ("imax", "dmax", "catalog", "init", "releases", "match.json"):
        (out / name).symlink_to(whole[0] / name)
    (out / "units").mkdir()
    for name in ("base", "data.json"):
        (out / "units" / name).symlink_to(whole[0] / "units" / name)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(CONFIG))
    command = [
        sys.executable, "-m", "imaxray.cli", "study", str(tmp_path / "study.yaml"), "--out",
        str(out), "--only", "train/phantom/dmax/seed-0",
    ]  # fmt: skip
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    run = out / "runs/phantom/dmax"
    while first.poll() is None and not (run / "curve.jsonl").is_file():
        pass
    first.kill()
    first.communicate()
    pair = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=200)[1] for process in pair]
    codes = sorted(process.returncode for process in pair)
    assert codes in ([0, 0], [0, 2]), told
    if codes == [0, 2]:
        assert any("written by one process at a time" in text for text in told)
    mine, theirs = (
        load_file(base / "runs/phantom/dmax/model/model.safetensors") for base in (out, whole[0])
    )
    assert all(mine[name].equal(theirs[name]) for name in theirs)


def test_a_folder_with_trained_weights_is_a_model_of_a_study(tmp_path):
    """Qwen2.5-VL's classes, saved as a downloaded model is; LoRA as recipes have it."""
    build_tiny("qwen2_5_vl").save(tmp_path / "qwen")
    changed = config(
        models={"mine": {"model": str(tmp_path / "qwen"), "training": {"steps": 1}}},
        arms={"dmax": {"data": "dmax"}, "imax": {"data": "imax"}, "zero-shot": {"budget": "none"}},
        training={"entries_per_step": 8},
    )
    outcome = run_study(changed, tmp_path / "out")
    found = outcome.only
    assert found.equal_entries.as_dict()["arms"] == ["dmax", "imax", "zero-shot"]
    assert found.equal_compute is None
    assert (tmp_path / "out/runs/dmax/adapter/adapter_model.safetensors").is_file()
    assert found.runs["dmax"][0]["entries_seen"] == 8


def test_a_launcher_starts_each_training(tmp_path):
    changed = config(
        models={"phantom": CONFIG["models"]["phantom"]}, arms={"dmax": {"data": "dmax"}}
    )
    outcome = run_study(changed, tmp_path / "out", launch=sys.executable)
    assert outcome.only.runs["dmax"][0]["entries_seen"] == 48
    with pytest.raises(ImaxrayError, match="train/phantom/dmax/seed-0: Expected a command that"):
        run_study(changed, tmp_path / "other", launch="no-such-launcher --nproc 2")
    for unit in ("base/phantom/seed-0", "train/phantom/dmax/seed-0"):  # which "other" lacks
        run_unit(changed, tmp_path / "other", unit, launch=sys.executable)
    ours, theirs = (
        (tmp_path / name / "runs/dmax/model/model.safetensors").read_bytes()
        for name in ("out", "other")
    )
    assert ours == theirs
    with pytest.raises(ImaxrayError, match="Expected a command that starts processes"):
        run_unit(changed, tmp_path / "other", "train/phantom/dmax/seed-0", launch="no-launcher")


def test_a_released_model_that_cannot_be_reached_is_said_before_anything_is_built(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ImaxrayError, match="MBZUAI/MedMO-4B on the hub or in its cache"):
        run_study(config(models=["medmo-4b"]), tmp_path / "out")
    assert not (tmp_path / "out" / "imax").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"reference": "none"}, "is no arm"),
        ({"reference": "imax (equal compute)"}, "needs budget: entries"),
        ({"arms": {"dmax": {"data": "dmax"}, "x": {"data": "imax", "budget": "compute"}}},
         "add an arm of the same data and layout"),
        ({"arms": {"dmax": {"data": "dmax"}, "d-max!": {}, "d-max?": {}}}, "share the folder"),
        ({"arms": {"dmax": {"data": "imax", "tasks_per_image": 3}}}, "needs data: dmax"),
        ({"models": {"a": {"phantom": {}, "tiny": {"family": "llava"}}}}, "give only one of"),
        ({"models": {"a": {"tiny": {"family": "llava"}, "recipe": "lingshu-7b"}}}, "belong to"),
        ({"models": {"a": {"training": {"stepps": 3}}}}, "no key stepps"),
        ({"dynamics": {"probe": 28}}, "dynamics needs one model"),
    ],
)  # fmt: skip
def test_a_study_that_cannot_be_planned_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        config(**changes)


def test_a_study_without_models_and_arms_is_the_packed_phantom():
    plain = StudyConfig(title="t")
    assert list(plain.all_models) == ["phantom"]
    assert {arm.layout for arm in plain.arms.values()} == {"packed"}
    assert list(plain.arms) == ["dmax", "imax", "imax (equal compute)"]


def test_two_jobs_at_once_and_a_killed_one_leave_the_bytes_of_the_whole(single, tmp_path):
    """Both go through all trainings of the phantom; one is killed and started again."""
    out = tmp_path / "out"
    out.mkdir()
    for name in ("imax", "dmax", "catalog", "init", "releases", "match.json"):
        (out / name).symlink_to(single[0] / name)
    (out / "units").mkdir()
    for name in ("base", "data.json"):
        (out / "units" / name).symlink_to(single[0] / "units" / name)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(CONFIG))
    names = [f"train/phantom/{arm}/seed-0" for arm in ("dmax", "imax", "dmax-separate")]
    assert set(names) <= {unit.name for unit in study_units(config())}

    def job(*units):
        only = [word for unit in units for word in ("--only", unit)]
        command = [sys.executable, "-m", "imaxray.cli", "study", str(tmp_path / "study.yaml")]
        return subprocess.Popen(
            [*command, "--out", str(out), *only], stderr=subprocess.PIPE, text=True
        )

    killed, other = job(*names), job(*reversed(names))
    begun = out / "runs/phantom/dmax/curve.jsonl"
    while killed.poll() is None and not begun.is_file():
        time.sleep(0.01)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    again = job(*names)
    told = [process.communicate(timeout=300)[1] for process in (other, again)]
    codes = [process.returncode for process in (other, again)]
    # who finds the other at a unit stops with one sentence, and is started once more
    assert all(
        c == 0 or "written by one process at a time" in t for c, t in zip(codes, told, strict=True)
    )
    last = job(*names)
    assert last.wait(timeout=300) == 0
    for arm in ("dmax", "imax", "dmax-separate"):
        mine, theirs = (
            {k: v for k, v in tree(base / "runs/phantom" / arm).items()
             if k.split("/")[0] != "evaluation" and k != "run.json"}  # holds the model's path
            for base in (out, single[0])
        )  # fmt: skip
        assert differences(mine, theirs) == []
        identities = [
            json.loads((base / "runs/phantom" / arm / "run.json").read_text())["identity"]
            for base in (out, single[0])
        ]
        assert identities[0] == identities[1]
