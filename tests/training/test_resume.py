"""Tests that a run killed at any moment resumes to the bytes of an uninterrupted run."""

import json
import os
import shutil
import signal
import time

import pytest
import torch
from safetensors.torch import load_file

from imaxray.training.runs.checkpoint import COMPLETE, complete, last_checkpoint, remove_checkpoints

STEPS = 40


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "dropout.yaml"
    # dropout: the state of the random numbers must be restored too
    path.write_text("log_every: 2\nsave_every: 5\nlora: {rank: 4, alpha: 8, dropout: 0.2}\n")
    return path


@pytest.fixture(scope="module")
def command(dataset, qwen, recipe):
    def make(out):
        return ("train", dataset.folder, "--model", qwen, "--out", out, "--config", recipe,
                "--steps", STEPS, "--entries-per-step", 4, "--learning-rate", 0.01,
                "--eval-every", 20)  # fmt: skip

    return make


@pytest.fixture(scope="module")
def whole(launch, command, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    codes, text = launch(*command(out))
    assert codes == [0], text
    return out


def lines(out, name="curve.jsonl"):
    path = out / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def without_clock(points):
    return [{k: v for k, v in point.items() if k != "seconds"} for point in points]


def kill_at(launch, argv, out, step, ranks=1):
    """SIGKILL once the curve has come to ``step``."""
    pids = launch.start(*argv, ranks=ranks)
    until = time.monotonic() + 120
    while time.monotonic() < until:
        points = lines(out)
        if points and points[-1]["step"] >= step:
            break
        time.sleep(0.002)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    codes, text = launch.wait()
    assert codes == [-signal.SIGKILL] * ranks, text
    assert not (out / "run.json").exists()


def test_a_killed_run_ends_in_the_same_bytes(launch, command, whole, tmp_path):
    out = tmp_path / "cut"
    kill_at(launch, command(out), out, 8)
    kill_at(launch, command(out), out, 22)  # and again, after a resume
    codes, text = launch(*command(out))
    assert codes == [0], text
    adapter = "adapter/adapter_model.safetensors"
    assert (out / adapter).read_bytes() == (whole / adapter).read_bytes()
    assert without_clock(lines(out)) == without_clock(lines(whole))
    assert lines(out, "evaluations.jsonl") == lines(whole, "evaluations.jsonl")
    assert [p["step"] for p in lines(out)] == list(range(2, STEPS + 1, 2))
    assert not (out / "checkpoints").exists()


def test_a_killed_sharded_run_goes_on(launch, dataset, qwen, tmp_path):
    """Trained tensors and moments are gathered and dealt out again; two processes, FSDP2."""

    def command(out):
        return ("train", dataset.folder, "--model", qwen, "--out", out, "--steps", 12,
                "--entries-per-step", 4, "--learning-rate", 0.01, "--save-every", 4, "--fsdp",
                "--config", tmp_path / "log.yaml")  # fmt: skip

    (tmp_path / "log.yaml").write_text("log_every: 1\naverage: 0.8\n")
    kill_at(launch, command(tmp_path / "cut"), tmp_path / "cut", 6, ranks=2)
    codes, text = launch(*command(tmp_path / "cut"), "--ddp")
    assert codes == [2] and "with or without FSDP" in text
    for out in ("cut", "whole"):
        codes, text = launch(*command(tmp_path / out), ranks=2)
        assert codes == [0, 0], text
    cut, whole = lines(tmp_path / "cut"), lines(tmp_path / "whole")
    assert [p["loss"] for p in cut] == pytest.approx([p["loss"] for p in whole], rel=1e-6)
    assert [p["tokens_seen"] for p in cut] == [p["tokens_seen"] for p in whole]
    averages = [load_file(tmp_path / out / "adapter/adapter_model.safetensors")
                for out in ("cut", "whole")]  # fmt: skip
    assert averages[0].keys() == averages[1].keys()
    for name, tensor in averages[0].items():
        torch.testing.assert_close(tensor, averages[1][name], rtol=1e-4, atol=1e-5)


def test_a_finished_run_is_kept_and_another_config_needs_overwrite(
    launch, command, whole, tmp_path
):
    out = tmp_path / "copy"
    shutil.copytree(whole, out)
    stamp = (out / "run.json").stat().st_mtime_ns
    codes, _ = launch(*command(out))
    assert codes == [0] and (out / "run.json").stat().st_mtime_ns == stamp
    (out / "notes.txt").write_text("mine")
    codes, text = launch(*command(out), "--seed", "1", "--learning-rate", "1e30")
    assert codes == [2] and "a finished run with learning_rate 0.01, not 1e+30" in text
    assert (out / "run.json").stat().st_mtime_ns == stamp
    codes, text = launch(*command(out), "--seed", "1", "--steps", "2", "--overwrite")
    assert codes == [0] and len(lines(out)) == 1 and "is now in" in text
    assert (tmp_path / "copy.old-1" / "run.json").stat().st_mtime_ns == stamp
    assert (tmp_path / "copy.old-1" / "notes.txt").exists() and not (out / "notes.txt").exists()
    assert not list(tmp_path.rglob("*.lock"))


def test_copies_of_a_checkpoint_are_the_users(tmp_path):
    copies = ("checkpoint-5-best", "checkpoint-mine")
    for name in ("checkpoint-5", *copies):
        (tmp_path / name).mkdir()
        (tmp_path / name / COMPLETE).write_text("{}")
    (tmp_path / "checkpoint-7").symlink_to("checkpoint-mine")
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-5"
    (tmp_path / "checkpoint-10").mkdir()
    complete(tmp_path / "checkpoint-10", {})
    assert not (tmp_path / "checkpoint-5").exists()
    remove_checkpoints(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *copies[:1],
        "checkpoint-7",
        copies[1],
    ]


def test_a_half_written_checkpoint_does_not_count(tmp_path):
    for step in (5, 10, 15):
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert last_checkpoint(tmp_path) is None
    complete(tmp_path / "checkpoint-10", {})
    (tmp_path / "checkpoint-15").mkdir(exist_ok=True)  # begun, then killed
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert not (tmp_path / "checkpoint-5").exists()
    (tmp_path / "checkpoint-20").mkdir()
    (tmp_path / "checkpoint-20" / (COMPLETE + ".part")).touch()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
