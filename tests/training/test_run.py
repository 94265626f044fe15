"""Tests schedules, resumed runs, and the same loss in both layouts."""

import shutil

import polars as pl
import pytest
import torch

from imaxray._common.state import known_state
from imaxray.curation import ImaxConfig, build_catalog, select_imax
from imaxray.errors import ImaxrayError
from imaxray.models import PhantomConfig, phantom
from imaxray.packing import entry_losses, model_inputs
from imaxray.schema import IS_PSEUDO, mark_pseudo
from imaxray.training import (
    StepDataset,
    TrainingConfig,
    encode_entries,
    prepare_images,
    schedule,
    train,
    weights_of,
)
from imaxray.training.steps.dataset import Examples
from imaxray.training.trainer import LearningCurve

CONFIG = TrainingConfig(entries_per_step=8, steps=6, log_every=2, save_every=2, optimizer="muon")
SHAPE = PhantomConfig(image_size=32, patch_size=16, width=32, vision_layers=1, text_layers=1,
                      vocabulary=400)  # fmt: skip


@pytest.fixture(scope="module")
def data(phantom_releases):
    catalog = build_catalog(phantom_releases, verify=False)
    imax, _ = select_imax(
        catalog, ImaxConfig(min_tasks=6, max_entries_per_task=1, target_entries=60)
    )
    train_entries = imax.split("train")
    chat = phantom.build(SHAPE, train_entries["target"].to_list(), seed=0)
    encoded = encode_entries(chat, train_entries, imax.images)
    root = phantom_releases["mimic-cxr-jpg"]
    paths = dict(imax.images.select("image_id", "path").iter_rows())
    ids = train_entries["image_id"].unique().sort().to_list()
    pixels = prepare_images(chat, ids, lambda i: root / paths[i])
    return train_entries, encoded, pixels


def fresh(data):
    return phantom.build(SHAPE, data[0]["target"].to_list(), seed=0)


@pytest.mark.parametrize("layout", ["packed", "separate"])
def test_every_step_has_exactly_its_entries_and_no_epoch_repeats(data, layout):
    entries = data[0]
    steps = 2 * entries.height // 8
    table = schedule(entries, layout=layout, entries_per_step=8, steps=steps, seed=0)
    assert table.group_by("step").len()["len"].unique().to_list() == [8]
    first_epoch = table["entry_id"][: entries.height]
    assert sorted(first_epoch) == sorted(entries["entry_id"])
    same = schedule(entries.reverse(), layout=layout, entries_per_step=8, steps=steps, seed=0)
    assert table.equals(same)
    other = schedule(entries, layout=layout, entries_per_step=8, steps=steps, seed=1)
    assert not table.equals(other)


def test_packed_rows_share_an_image(data):
    entries = data[0]
    table = schedule(entries, layout="packed", entries_per_step=16, steps=4, seed=0)
    rows = table.join(entries.select("entry_id", "image_id"), on="entry_id")
    assert rows.group_by("step", "row").agg(pl.col("image_id").n_unique())["image_id"].max() == 1
    assert rows.group_by("step", "row").len()["len"].max() > 1


def test_the_same_entries_give_the_same_losses_in_both_layouts(data):
    entries, encoded, pixels = data
    chat = fresh(data)
    table = schedule(entries, layout="packed", entries_per_step=12, steps=1, seed=0)
    alone = table.with_columns(pl.int_range(pl.len(), dtype=pl.Int32).alias("row"))
    losses = []
    for layout, rows in (("packed", table), ("separate", alone)):
        item = StepDataset(chat, rows, entries, encoded, pixels, layout)[0]
        with torch.no_grad():
            logits = chat.model(**model_inputs(chat.model, item["batch"], item["images"])).logits
        losses.append(entry_losses(logits, item["batch"]))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-5)


def run(data, out, config=CONFIG, **more):
    entries, encoded, pixels = data
    return train(
        fresh(data), entries, encoded, pixels, out, layout="packed", config=config, seed=0,
        progress=False, **more,
    )  # fmt: skip


def run_until_killed(monkeypatch, data, out, config=CONFIG):
    """Train until the end of step 5, where the process is interrupted."""
    original = LearningCurve.on_step_end

    def killed(self, args, state, control, **kwargs):
        original(self, args, state, control, **kwargs)
        if state.global_step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LearningCurve, "on_step_end", killed)
        with pytest.raises(KeyboardInterrupt):
            run(data, out, config)


def weights(out):
    return phantom.load(out / "model").model.state_dict()


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "whole"
    return run(data, out), out


def test_a_run_writes_its_curve_schedule_and_manifest(whole):
    made, out = whole
    assert [p["step"] for p in made.curve] == [2, 4, 6]
    assert [p["entries_seen"] for p in made.curve] == [16, 32, 48]
    assert made.manifest["entries_seen"] == 48 and made.manifest["seconds"] > 0
    assert made.manifest["cpu_seconds"] > 0
    assert pl.read_parquet(out / "schedule.parquet").height == 48
    assert not (out / "checkpoints").exists()


def test_a_finished_run_is_returned_as_it_is(data, whole, monkeypatch):
    _, out = whole
    before = (out / "run.json").read_bytes()
    monkeypatch.setattr(LearningCurve, "on_train_begin", lambda *_, **__: pytest.fail("trained"))
    run(data, out)
    assert (out / "run.json").read_bytes() == before


def test_a_killed_run_goes_on_to_the_same_weights(data, whole, tmp_path, monkeypatch):
    run_until_killed(monkeypatch, data, tmp_path / "cut")
    assert not (tmp_path / "cut" / "run.json").exists()
    resumed = run(data, tmp_path / "cut")
    assert [p["step"] for p in resumed.curve] == [2, 4, 6]
    assert resumed.manifest["entries_seen"] == 48
    for name, tensor in weights(whole[1]).items():
        torch.testing.assert_close(weights(tmp_path / "cut")[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_run_never_goes_on_from_a_damaged_checkpoint(data, tmp_path, monkeypatch, damage):
    run_until_killed(monkeypatch, data, tmp_path / "cut")
    [optimizer] = (tmp_path / "cut" / "checkpoints").glob("*/optimizer.pt")
    raw = bytearray(optimizer.read_bytes())
    raw[len(raw) // 2] ^= 1
    optimizer.unlink()
    if damage == "changed":
        optimizer.write_bytes(raw)
    with pytest.raises(ImaxrayError, match=r"optimizer.pt is missing or was changed"):
        run(data, tmp_path / "cut")
    assert not (tmp_path / "cut" / "run.json").exists()


def test_a_finished_run_with_changed_weights_is_not_used(data, whole, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(whole[1], out)
    assert weights_of(out) == str(out / "model")
    [file] = (out / "model").glob("*.safetensors")
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(ImaxrayError, match=r"model/model.safetensors is missing or was changed"):
        weights_of(out)
    with pytest.raises(ImaxrayError, match=r"holds a finished run whose model/model.safetensors"):
        run(data, out)


def test_another_config_never_replaces_a_finished_run(data, tmp_path):
    out = tmp_path / "run"
    run(data, out, CONFIG.model_copy(update={"steps": 2}))
    first = known_state(out / "run.json")
    other = CONFIG.model_copy(update={"steps": 2, "learning_rate": 5e-4})
    with pytest.raises(ImaxrayError, match=r"run with learning_rate .*--overwrite.*run.old-1"):
        run(data, out, other)
    assert known_state(out / "run.json") == first
    with pytest.warns(UserWarning, match=r"is now in .*run\.old-1"):
        run(data, out, other, overwrite=True)
    assert known_state(tmp_path / "run.old-1" / "run.json") == first
    assert known_state(out / "run.json")["identity"] != first["identity"]


def test_training_lowers_the_loss(data, tmp_path):
    config = CONFIG.model_copy(update={"steps": 40, "log_every": 10, "save_every": 100})
    curve = run(data, tmp_path / "long", config).curve
    assert curve[-1]["loss"] < 0.95 * curve[0]["loss"]


@pytest.mark.parametrize("layout", ["packed", "separate"])
def test_pseudo_entries_count_by_their_weight(data, tmp_path, layout):
    """A weight near zero trains as if they were not there; a step's mean is by weight."""
    entries, encoded, pixels = data
    made = pl.int_range(pl.len()) % 3 > 0
    quality = pl.when(made).then(pl.lit("pseudo/phantom")).otherwise(pl.col("quality"))
    mixed = mark_pseudo(entries.drop(IS_PSEUDO).with_columns(quality=quality))
    real = mixed.filter(~pl.col(IS_PSEUDO))

    def after(name, some, **changes):
        one = {"steps": 2, "entries_per_step": some.height, "optimizer": "adamw", **changes}
        config = CONFIG.model_copy(update=one)
        train(fresh(data), some, encoded, pixels, tmp_path / name, layout=layout, config=config,
              seed=0, progress=False)  # fmt: skip
        return weights(tmp_path / name)

    alone = after("alone", real)
    none, all_alike = after("none", mixed, pseudo_weight=1e-9), after("alike", mixed)
    moved = {n: (all_alike[n] - alone[n]).abs().max() for n in alone}
    assert max(moved.values()) > 1e-4
    for name in alone:
        torch.testing.assert_close(none[name], alone[name], rtol=1e-3, atol=2e-5)
    table = schedule(mixed, layout=layout, entries_per_step=mixed.height, steps=1, seed=0)
    steps = StepDataset(fresh(data), table, mixed, encoded, pixels, layout, pseudo_weight=0.25)
    item = steps[0]
    assert steps.weight(0) == pytest.approx(real.height + 0.25 * (mixed.height - real.height))
    assert float(item["weights"].sum()) == pytest.approx(steps.weight(0))
    assert len(item["weights"]) == len(item["tasks"]) == item["batch"].entries


AVERAGED = CONFIG.model_copy(update={"average": 0.6, "eval_every": 3})


def test_a_run_saves_the_average_of_its_weights(data, whole, tmp_path, monkeypatch):
    """The weights after each step are those of a run without an average; only the saved differ."""
    seen = []
    original = LearningCurve.on_step_end

    def noted(self, args, state, control, **kwargs):
        original(self, args, state, control, **kwargs)
        seen.append({n: p.detach().double() for n, p in kwargs["model"].named_parameters()})

    with monkeypatch.context() as patch:
        patch.setattr(LearningCurve, "on_step_end", noted)
        made = run(data, tmp_path / "run", AVERAGED)
    assert [p["loss"] for p in made.curve] == [p["loss"] for p in whole[0].curve]
    last, saved = weights(whole[1]), weights(tmp_path / "run")
    for name, tensor in seen[-1].items():
        torch.testing.assert_close(last[name].double(), tensor, rtol=0, atol=0)
        expected = torch.zeros_like(tensor)
        for step, weight in enumerate(seen, start=1):
            share = max(0.4, 1 / step)
            expected = (1 - share) * expected + share * weight[name]
        torch.testing.assert_close(saved[name].double(), expected, rtol=1e-5, atol=1e-6)


def test_a_killed_run_goes_on_to_the_same_average(data, tmp_path, monkeypatch):
    run(data, tmp_path / "whole", AVERAGED)
    run_until_killed(monkeypatch, data, tmp_path / "cut", AVERAGED)
    run(data, tmp_path / "cut", AVERAGED)
    for name, tensor in weights(tmp_path / "whole").items():
        torch.testing.assert_close(weights(tmp_path / "cut")[name], tensor, rtol=0, atol=0)


def test_the_validation_loss_is_that_of_the_average(data, tmp_path):
    entries, encoded, pixels = data
    val = Examples(entries, encoded, pixels)
    last = run(data, tmp_path / "last", AVERAGED, validation=val)
    plain = AVERAGED.model_copy(update={"average": None})
    other = run(data, tmp_path / "plain", plain, validation=val)
    assert [p["loss"] for p in last.curve] == [p["loss"] for p in other.curve]
    assert [e["step"] for e in last.evaluations] == [3, 6]
    for one, two in zip(last.evaluations, other.evaluations, strict=True):
        assert one["loss"] != two["loss"]
    saved = phantom.load(tmp_path / "last" / "model")
    table = schedule(entries, layout="packed", entries_per_step=entries.height, steps=1, seed=0)
    item = StepDataset(saved, table, entries, encoded, pixels, "packed")[0]
    with torch.no_grad():
        logits = saved.model(**model_inputs(saved.model, item["batch"], item["images"])).logits
    loss = entry_losses(logits, item["batch"]).mean().item()
    assert last.evaluations[-1]["loss"] == pytest.approx(loss, rel=1e-4)
