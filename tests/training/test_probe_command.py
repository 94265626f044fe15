"""Tests `imaxray train --probe`: it measures while training and does not change weights."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from imaxray.cli import app
from imaxray.dynamics import Gram, RunDynamicsConfig, recorded, run_dynamics
from imaxray.errors import ImaxrayError

SIZE = 14


def train(dataset, qwen, out, *more):
    command = ["train", dataset.folder, "--model", qwen, "--out", out, "--steps", 3,
               "--entries-per-step", 6, "--learning-rate", 0.01, "--seed", 4, *more]  # fmt: skip
    return CliRunner().invoke(app, [str(part) for part in command])


@pytest.fixture(scope="module")
def probed(dataset, qwen, tmp_path_factory):
    out = tmp_path_factory.mktemp("probed") / "run"
    done = train(dataset, qwen, out, "--probe", SIZE, "--probe-every", 12)
    assert done.exit_code == 0, done.output
    return out


def test_the_probe_is_measured_at_its_cadence_on_val(probed, dataset):
    assert list(recorded(probed)) == [0, 12, 18]
    told = json.loads((probed / "dynamics" / "probe.json").read_text())
    val = dataset.tables.split("val")
    tasks = val.filter(pl.col("entry_id").is_in(told["entry_ids"]))["task"].value_counts()
    assert tasks["count"].to_list() == [2] * 7  # equal quotas, all of val
    assert told["every"] == 12 and told["uncovered"] == []
    spectra = pl.read_parquet(probed / "dynamics" / "spectra.parquet")
    whole = spectra.filter(group="all", reduction="sum").sort("entries_seen")
    assert whole["step"].to_list() == [0, 2, 3] and whole["entries"].to_list() == [SIZE] * 3
    assert (whole["trace"] > 0).all() and whole["se"].n_unique() == 3
    assert whole["se"].is_between(0, np.log(SIZE)).all()


def test_weights_are_those_of_a_run_without_it(probed, dataset, qwen, tmp_path):
    done = train(dataset, qwen, tmp_path / "plain")
    assert done.exit_code == 0, done.output
    plain, other = (
        load_file(run / "adapter" / "adapter_model.safetensors")
        for run in (tmp_path / "plain", probed)
    )
    assert all(torch.equal(plain[name], other[name]) for name in plain)
    assert not (tmp_path / "plain" / "dynamics").exists()


def test_the_same_command_again_measures_nothing(probed, dataset, qwen):
    before = {path: path.stat().st_mtime_ns for path in (probed / "dynamics").rglob("*")}
    assert train(dataset, qwen, probed, "--probe", SIZE, "--probe-every", 12).exit_code == 0
    assert before == {path: path.stat().st_mtime_ns for path in (probed / "dynamics").rglob("*")}


def test_the_adapter_measured_later_is_what_was_recorded(probed, dataset, tmp_path):
    run_dynamics([probed], tmp_path / "out", RunDynamicsConfig(size=SIZE), data=dataset)
    [path] = (tmp_path / "out" / "measured").rglob("gram/*.parquet")
    found, expected = Gram.read(path), Gram.read(recorded(probed)[18])
    assert found.ids == expected.ids and found.groups.keys() == expected.groups.keys()
    scale = np.abs(expected.matrix).max()
    assert np.abs(found.matrix - expected.matrix).max() < 1e-4 * scale


def test_a_sharded_run_is_refused_before_it_begins(dataset, qwen, tmp_path):
    done = train(dataset, qwen, tmp_path / "run", "--probe", SIZE, "--fsdp")
    assert isinstance(done.exception, ImaxrayError)
    assert "--probe or --fsdp" in str(done.exception)
    assert not (tmp_path / "run").exists()
