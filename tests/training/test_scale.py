"""Tests that two gloo processes give the losses, weights and answers of one process."""

import json

import pytest
import torch
from safetensors.torch import load_file

ARGUMENTS = (
    "--steps", "5", "--entries-per-step", "9", "--learning-rate", "0.02", "--save-every", "3",
    "--eval-every", "5",
)  # fmt: skip


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "every-step.yaml"
    path.write_text("log_every: 1\nlora: {rank: 4, alpha: 8}\n")
    return path


@pytest.fixture(scope="module")
def run(launch, dataset, qwen, recipe, tmp_path_factory):
    base = tmp_path_factory.mktemp("runs")

    def make(name, *more, ranks=1):
        out = base / name
        codes, text = launch(
            "train", dataset.folder, "--model", qwen, "--out", out, "--config", recipe,
            *ARGUMENTS, *more, ranks=ranks,
        )  # fmt: skip
        assert set(codes) == {0}, text
        return out

    return make


def curve(out, name="curve.jsonl"):
    return [json.loads(line) for line in (out / name).read_text().splitlines()]


def assert_same(out, alone):
    here, there = curve(out), curve(alone)
    assert len(here) == len(there) == 5
    for a, b in zip(here, there, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-6)
        assert a["losses"] == pytest.approx(b["losses"], rel=1e-6)
        assert a["entries_seen"] == b["entries_seen"]
    # losses move, so that equal losses mean equal updates
    assert abs(there[0]["loss"] - there[-1]["loss"]) > 1e-2
    a, b = curve(out, "evaluations.jsonl")[-1], curve(alone, "evaluations.jsonl")[-1]
    assert a["loss"] == pytest.approx(b["loss"], rel=1e-6) and a["entries"] == b["entries"]


@pytest.fixture(scope="module")
def alone(run):
    return run("alone")


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_two_processes_equal_one(run, alone, how):
    out = run(how, f"--{how}", ranks=2)
    assert_same(out, alone)
    manifest = json.loads((out / "run.json").read_text())
    assert manifest["processes"] == 2 and manifest["sharded"] == (how == "fsdp")
    adapters = [load_file(o / "adapter" / "adapter_model.safetensors") for o in (out, alone)]
    assert adapters[0].keys() == adapters[1].keys()
    for name, tensor in adapters[1].items():
        torch.testing.assert_close(adapters[0][name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "more",
    [("--accumulate", "3"), ("--tokens-per-batch", "500")],
    ids=["accumulate", "tokens-per-batch"],
)
def test_cutting_a_step_changes_nothing(run, alone, more):
    assert_same(run("-".join(more).strip("-"), *more), alone)


def test_sharded_full_training_in_short_passes_equals_one(run):
    more = ("--method", "full", "--learning-rate", "0.002", "--layout", "separate")
    alone = run("full", *more)
    out = run("full-fsdp", *more, "--fsdp", "--tokens-per-batch", "500", ranks=2)
    assert_same(out, alone)
    weights = [load_file(o / "model" / "model.safetensors") for o in (out, alone)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[1].items():
        torch.testing.assert_close(weights[0][name], tensor, rtol=1e-3, atol=1e-4)
