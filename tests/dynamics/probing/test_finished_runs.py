"""Tests measuring finished runs: it repeats the recorded numbers, once, on probes of both arms."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from transformers import TrainerCallback
from typer.testing import CliRunner

import imaxray.dynamics.comparing.groups
from imaxray._common.digests import MEMORY
from imaxray._common.state import known_state, write_state
from imaxray._common.verifying import verify_folder
from imaxray.cli import app
from imaxray.curation import ImaxConfig, build_catalog, open_dataset, select_imax, write_dataset
from imaxray.dynamics import (
    Gram,
    RunDynamicsConfig,
    crossed_probes,
    measure_probe,
    pool_entries,
    probe_entries,
    probe_pair,
    probe_while_training,
    recorded,
    run_dynamics,
    task_geometry,
)
from imaxray.errors import ImaxrayError
from imaxray.models import PhantomConfig, phantom
from imaxray.training import FinishedRun, load_recipe, train_dataset

SIZE = 28
SHAPE = PhantomConfig(image_size=32, patch_size=16, width=32, vision_layers=1, text_layers=1,
                      vocabulary=300)  # fmt: skip


class KeepCheckpoints(TrainerCallback):
    def __init__(self, run, aside):
        self._run, self._aside = run, aside

    def on_save(self, args, state, control, **kwargs):
        folder = self._run / "checkpoints" / f"checkpoint-{state.global_step}"
        shutil.copytree(folder, self._aside / folder.name)


@pytest.fixture(scope="module")
def data(phantom_releases, tmp_path_factory):
    """Two datasets of one catalog: few images with all tasks, and more with fewer."""
    catalog = build_catalog(phantom_releases, verify=False)
    made = []
    for name, tasks, entries in (("dense", 6, 60), ("wide", 3, 120)):
        config = ImaxConfig(min_tasks=tasks, max_entries_per_task=1, target_entries=entries)
        folder = tmp_path_factory.mktemp("data") / name
        write_dataset(select_imax(catalog, config)[0], folder, config={}, seed=0)
        made.append(open_dataset(folder))
    return made


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """Two seeds an arm; the first run was probed while it trained, and kept a checkpoint."""
    root = tmp_path_factory.mktemp("runs")
    rows = data[0].tables.split("train").select("prompt", "target").rows()
    corpus = [f"{prompt} {target}" for prompt, target in rows]
    made = {}
    for arm, of in zip(("dense", "wide"), data, strict=True):
        for seed in range(2):
            init, out = root / f"init{seed}", root / arm / f"seed-{seed}"
            phantom.build(SHAPE, corpus, seed=seed).save(init)
            recipe = load_recipe(None, model=str(init), method="full", steps=4, save_every=2,
                                 entries_per_step=8, learning_rate=0.01, seed=seed,
                                 layout="separate")  # fmt: skip
            first = (arm, seed) == ("dense", 0)

            def callbacks(chat, data, out=out):
                probed = probe_while_training(
                    out, SIZE, every=16, entries_per_step=8, split="train"
                )(chat, data)
                return [*probed, KeepCheckpoints(out, root / "kept")]

            train_dataset(of, out, recipe, callbacks=callbacks if first else None, progress=False)
            made[arm, seed] = out
    shutil.copytree(root / "kept" / "checkpoint-2", made["dense", 0] / "checkpoints/checkpoint-2")
    return made


def close(found, expected):
    scale = np.abs(expected.matrix).max()
    return found.ids == expected.ids and np.abs(found.matrix - expected.matrix).max() < 1e-4 * scale


@pytest.fixture(scope="module")
def crossed(runs, data, tmp_path_factory):
    """Both arms by the command, everything on."""
    out = tmp_path_factory.mktemp("out")
    for run in runs.values():
        write_scores(run)
    command = ["dynamics", runs["dense", 0], runs["dense", 1], "--against", runs["wide", 0],
               "--against", runs["wide", 1], "--data", data[0].folder, "--other-data",
               data[1].folder, "--probe", SIZE, "--split", "train", "--scores",
               "--out", out]  # fmt: skip
    done = CliRunner().invoke(app, [str(part) for part in command])
    assert done.exit_code == 0, done.output
    return out, done.stdout, command


def write_scores(run):
    value = float(FinishedRun(run).load().model.get_input_embeddings().weight[0, 0].detach())
    table = pl.DataFrame({"entry_id": ["v"], "task": ["vqa"], "score": [value]})
    table.write_parquet(run / "scores.parquet")


def test_weights_and_checkpoints_give_what_was_recorded(runs, crossed):
    out = crossed[0]
    [folder] = (out / "measured").glob("train-*/dense-seed-0-*")
    before = recorded(runs["dense", 0])
    now = recorded(folder)
    assert list(before) == [0, 16, 32] and list(now) == [16, 32]
    for seen in (16, 32):
        assert close(Gram.read(now[seen]), Gram.read(before[seen])), seen
    assert not close(Gram.read(now[16]), Gram.read(now[32]))
    kept, told = (
        pl.read_parquet(f / "spectra.parquet").filter(pl.col("entries_seen") > 0)
        for f in (folder, runs["dense", 0] / "dynamics")
    )
    assert kept.select("step", "entries_seen", "group").equals(
        told.select("step", "entries_seen", "group")
    )
    assert list(recorded(next((out / "measured").glob("train-*/wide-seed-1-*")))) == [32]


def test_crossed_probes_are_of_both_train_splits_with_equal_strata(data, crossed):
    out = crossed[0]
    pair = probe_pair(*(d.tables.split("train") for d in data), SIZE)
    assert pair[0]["stratum"].sort().equals(pair[1]["stratum"].sort())
    seeds = []
    for seed in range(2):
        grams = {}
        for probe, chosen in zip(("runs", "against"), pair, strict=True):
            for model, arm in (("runs", "dense"), ("against", "wide")):
                [folder] = (out / "measured").glob(f"{probe}-train-*/{arm}-seed-{seed}-*")
                assert list(recorded(folder)) == [32]  # final models alone
                grams[model, probe] = Gram.read(recorded(folder)[32])
                assert grams[model, probe].ids == tuple(chosen["entry_id"])
        seeds.append(crossed_probes(grams, "se"))
    row = pl.read_csv(out / "crossed.csv").row(
        by_predicate=(pl.col("statistic") == "se") & (pl.col("reduction") == "sum"), named=True
    )
    for term in ("own", "model", "probe", "interaction"):
        assert row[term] == pytest.approx(np.mean([s[term] for s in seeds])), term
        assert row[f"{term}_low"] <= row[f"{term}_seeds_low"] <= row[term] <= row[f"{term}_high"]
    values = np.mean([s["values"] for s in seeds], axis=0)
    assert row["runs_on_against"] == pytest.approx(values[0][1])
    assert row["own"] == pytest.approx(row["model"] + row["probe"])


def test_tasks_with_and_without_entries_of_one_image(crossed):
    out, printed, _ = crossed
    table = pl.read_csv(out / "tasks.csv")
    assert table["same_image"].value_counts()["count"].to_list() == [3, 3]
    pairs = pl.read_csv(out / "task_pairs.csv")
    [folder] = (out / "measured").glob("train-*/wide-seed-1-*")
    gram = Gram.read(recorded(folder)[32])
    assert len(set(gram.images)) < len(gram.images)  # or there were nothing to leave out
    for same in (True, False):
        found = task_geometry(gram.matrix, gram.tasks, images=None if same else gram.images)
        part = pairs.filter(arm="against", seed=1, reduction="sum", same_image=same)
        expected = [row["pair_conflict"] for row in found.pairs()]
        assert np.allclose(part["pair_conflict"], expected, equal_nan=True)
    with_, without = (
        pairs.filter(reduction="sum", same_image=same)["pair_conflict"] for same in (True, False)
    )
    assert not np.allclose(with_, without, equal_nan=True)
    assert "Pairs of tasks" in printed and "left out" in printed


def test_scores_are_correlated_over_both_arms(crossed):
    table = pl.read_csv(crossed[0] / "correlations.csv")
    assert table["runs"].unique().to_list() == [4]
    assert table.filter(task="vqa")["within_arms"].is_not_null().all()
    assert "no cause" in crossed[1] and "Fewer than three seeds" in crossed[1]


def test_a_measured_run_is_not_measured_again(crossed, monkeypatch):
    out, printed, command = crossed

    def never(*_, **__):
        raise AssertionError("measured again")

    monkeypatch.setattr("imaxray.dynamics.probing.finished_runs.measure_probe", never)
    monkeypatch.setattr(FinishedRun, "load", never)

    def content():
        paths = (p for p in out.rglob("*") if p.is_file() and p.name != MEMORY)
        return {path: path.read_bytes() for path in paths}

    before = content()
    done = CliRunner().invoke(app, [str(part) for part in command])
    assert done.exit_code == 0 and done.stdout == printed
    assert before == content()


def test_a_killed_call_goes_on_where_it_was(runs, data, tmp_path, monkeypatch):
    calls = []

    def measured(model, probe):
        calls.append(len(calls))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure_probe(model, probe)

    monkeypatch.setattr("imaxray.dynamics.probing.finished_runs.measure_probe", measured)
    config = RunDynamicsConfig(size=SIZE, split="train")
    arm = [runs["wide", 0], runs["wide", 1]]
    with pytest.raises(KeyboardInterrupt):
        run_dynamics(arm, tmp_path, config, data=data[0])
    # and a kill between the Gram matrix and its tables
    [first] = (tmp_path / "measured").rglob("wide-seed-0-*")
    (first / "tasks.parquet").unlink()
    (first / "measured.json").unlink()
    found = run_dynamics(arm, tmp_path, config, data=data[0])
    assert len(calls) == 4  # what has no digests is measured again
    assert verify_folder(tmp_path)[1] == [] and (first / "measured.json").exists()
    assert run_dynamics(arm, tmp_path, config, data=data[0]).spectra["runs"].height
    assert len(calls) == 4
    assert found.spectra["runs"]["run"].unique().sort().to_list() == sorted(map(str, arm))
    assert found.contrast.is_empty() and found.crossed.is_empty() and found.remarks == ()
    assert (first / "tasks.parquet").exists()


def test_measurements_without_digests_are_made_again(runs, data, tmp_path):
    config = RunDynamicsConfig(size=SIZE, split="train")
    run = [runs["wide", 0]]
    run_dynamics(run, tmp_path, config, data=data[0])
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    [digests] = tmp_path.rglob("measured.json")
    digests.unlink()
    table = pl.read_parquet(digests.with_name("spectra.parquet"))
    table.head(1).write_parquet(digests.with_name("spectra.parquet"))
    run_dynamics(run, tmp_path, config, data=data[0])
    for path in (digests, digests.with_name("spectra.parquet")):
        assert path.read_bytes() == before[path]


@pytest.mark.parametrize("name", ["spectra.parquet", "tasks.parquet", "gram"])
def test_a_changed_measurement_is_found_and_made_again(runs, data, tmp_path, name):
    config = RunDynamicsConfig(size=SIZE, split="train")
    run = [runs["wide", 0]]
    run_dynamics(run, tmp_path, config, data=data[0])
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    [path] = (p for p in before if p.name == name or p.parent.name == name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert [Path(n).name for n in verify_folder(tmp_path)[1]] == [path.name]
    run_dynamics(run, tmp_path, config, data=data[0])
    assert verify_folder(tmp_path)[1] == []
    assert path.read_bytes() == before[path]


def test_what_does_not_go_together_is_told_first(runs, data, tmp_path):
    dense, wide = runs["dense", 0], runs["wide", 0]
    probe = {"size": SIZE, "split": "train"}
    with pytest.raises(ImaxrayError, match="beside --other-data"):
        run_dynamics([dense], tmp_path, data=data[0], other_data=data[1])
    with pytest.raises(ImaxrayError, match="as many runs in both arms"):
        run_dynamics([dense, dense], tmp_path, against=[wide])
    with pytest.raises(ImaxrayError, match="folder of a run"):
        run_dynamics([tmp_path], tmp_path / "out", RunDynamicsConfig(**probe), data=data[0])
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "started.json").touch()
    with pytest.raises(ImaxrayError, match="finished run"):
        run_dynamics([begun], tmp_path / "out", RunDynamicsConfig(**probe), data=data[0])
    with pytest.raises(ImaxrayError, match="take a smaller probe"):
        run_dynamics(
            [dense], tmp_path / "out", RunDynamicsConfig(draw="apart", **probe), data=data[0]
        )
    with pytest.raises(ImaxrayError, match=r"at least 28 entries.*is 14"):
        run_dynamics(
            [dense] * 2,
            tmp_path / "out",
            RunDynamicsConfig(size=14),
            against=[wide] * 2,
            data=data[0],
        )
    longer = tmp_path / "longer"
    shutil.copytree(wide, longer)
    told = known_state(longer / "run.json")
    assert told["entries_seen"] == 32
    write_state(longer / "run.json", {**told, "entries_seen": 40})
    with pytest.raises(ImaxrayError, match="have seen 32, 40"):
        run_dynamics(
            [dense], tmp_path / "out", RunDynamicsConfig(**probe), against=[longer], data=data[0]
        )
    assert not (tmp_path / "out").exists()


def test_whole_images_come_with_their_warning(runs, data, tmp_path):
    """One run an arm: values and no interval."""
    config = RunDynamicsConfig(size=SIZE, split="train", draw="together")
    found = run_dynamics(
        [runs["dense", 0]], tmp_path, config, against=[runs["wide", 0]], data=data[0],
        other_data=data[1],
    )  # fmt: skip
    assert any("too narrow" in remark for remark in found.remarks)
    assert any("Fewer than three" in remark for remark in found.remarks)
    assert found.crossed["own"].is_finite().all() and found.crossed["own_low"].is_nan().all()
    alone = probe_entries(data[0].tables.split("train"), SIZE)["image_id"].n_unique()
    [folder] = (tmp_path / "measured").glob("train-*/dense-seed-0-*")
    assert len(set(Gram.read(recorded(folder)[32]).images)) < alone
    assert found.tasks["same_image"].n_unique() == 2


def test_groups_are_measured_by_the_command(runs, data, tmp_path, monkeypatch):
    """Whole images against entries apart, and the parts of a naive comparison."""
    monkeypatch.setattr(imaxray.dynamics.comparing.groups, "SIZES", (4, 8, 32))
    command = ["dynamics", runs["dense", 0], runs["dense", 1], "--against", runs["wide", 0],
               "--against", runs["wide", 1], "--data", data[0].folder, "--other-data",
               data[1].folder, "--probe", SIZE, "--split", "train", "--groups", "--pool", 60,
               "--draws", 25, "--out", tmp_path]  # fmt: skip
    done = CliRunner().invoke(app, [str(part) for part in command])
    assert done.exit_code == 0, done.output
    for title in (
        "How alike gradients are",
        "Whole images minus entries apart",
        "What a naive comparison is made of",
        "What this study could have seen",
    ):
        assert title in done.stdout
    sharing, groups, effects, power = (
        pl.read_csv(tmp_path / f"{name}.csv") for name in ("sharing", "groups", "effects", "power")
    )
    assert {"mean", str(runs["dense", 0])} < set(sharing["run"])
    assert {"vision", "connector", "all"} <= set(sharing["group"])
    assert sharing["pool"].max() <= 60 and (sharing["icc"].abs() <= 1).all()
    assert set(groups["entries"]) == {4, 8, 32}
    parts = effects["sampling"] + effects["entry"] + effects["training"]
    assert np.allclose(parts, effects["naive"], atol=1e-6)
    assert set(power["statistic"]) == {"se", "rho", "h2"} and (power["smallest"] >= 0).all()
    same = run_dynamics(
        [runs["dense", 0]], tmp_path / "same",
        RunDynamicsConfig(size=SIZE, split="train", groups=True, pool=60, draws=25),
        against=[runs["dense", 0]], data=data[0], other_data=data[1],
    )  # fmt: skip
    assert (same.groups.effects["training"] == 0).all()  # identical weights
    monkeypatch.undo()
    few = run_dynamics(
        [runs["dense", 0]], tmp_path / "few",
        RunDynamicsConfig(size=SIZE, split="train", groups=True, pool=60, draws=25),
        against=[runs["wide", 0]], data=data[0], other_data=data[1],
    )  # fmt: skip
    assert few.groups.effects.is_empty() and not few.groups.sharing.is_empty()
    assert any("The naive comparison is not split: Expected pools" in r for r in few.remarks)


def test_groups_of_what_was_recorded_while_training(runs, tmp_path):
    config = RunDynamicsConfig(groups=True, draws=25)
    found = run_dynamics([runs["dense", 0]], tmp_path, config)
    seen = found.groups.sharing["entries_seen"].unique().to_list()
    assert min(seen) == 0 and max(seen) == 32
    assert found.groups.effects.is_empty() and found.groups.power.is_empty()


def test_a_pool_holds_whole_images(data):
    entries = data[0].tables.split("train")
    chosen = pool_entries(entries, 40)
    assert 20 < chosen.height <= 40
    sizes = dict(entries.group_by("image_id").len().iter_rows())
    assert all(sizes[image] == n for image, n in chosen.group_by("image_id").len().iter_rows())
    assert pool_entries(entries.sample(fraction=1, shuffle=True, seed=1), 40).equals(chosen)
    with pytest.raises(ImaxrayError, match="larger --pool"):
        pool_entries(entries, 1)
