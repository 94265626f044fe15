"""Tests that the checkpoint of a run that somebody else hands over cannot run code."""

import os
import pickle
import signal
import time
from pathlib import Path

import pytest

from imaxray._common.files import sha256
from imaxray._common.state import known_state, write_state
from imaxray.training.runs.checkpoint import COMPLETE, last_checkpoint


class Trap:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (Path.write_text, (Path(self.path), "code ran"))


@pytest.fixture(scope="module")
def begun(launch, dataset, qwen, tmp_path_factory):
    """A killed run with a checkpoint, and the command that resumes it."""
    folder = tmp_path_factory.mktemp("begun")
    (folder / "often.yaml").write_text("log_every: 1\nsave_every: 2\n")
    out = folder / "run"
    argv = ("train", dataset.folder, "--model", qwen, "--out", out, "--steps", 2000,
            "--entries-per-step", 2, "--config", folder / "often.yaml")  # fmt: skip
    pids = launch.start(*argv)
    until = time.monotonic() + 120
    while time.monotonic() < until and last_checkpoint(out / "checkpoints") is None:
        time.sleep(0.01)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    launch.wait()
    return argv, out


def pickled(checkpoint):
    weights = {".safetensors", ".json", ".txt", ".jinja"}
    return [p for p in sorted(checkpoint.rglob("*")) if p.is_file() and p.suffix not in weights]


def test_no_file_of_a_checkpoint_is_unpickled(begun, launch, tmp_path):
    """The stranger writes matching digests, too."""
    argv, out = begun
    checkpoint = last_checkpoint(out / "checkpoints")
    files = pickled(checkpoint)
    assert {"optimizer.pt", "scheduler.pt"} <= {path.name for path in files}
    sprung = tmp_path / "sprung"
    for path in files:
        whole = path.read_bytes()
        state = known_state(checkpoint / COMPLETE)
        honest = dict(state["files"])
        path.write_bytes(pickle.dumps(Trap(sprung)))
        state["files"][path.relative_to(checkpoint).as_posix()] = sha256(path)
        write_state(checkpoint / COMPLETE, state)
        codes, text = launch(*argv)
        assert not sprung.exists(), path.name
        assert codes != [0] and "Expected" in text and "Traceback" not in text, (path.name, text)
        path.write_bytes(whole)
        write_state(checkpoint / COMPLETE, {**state, "files": honest})
