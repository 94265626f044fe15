"""A training takes only its own folder, and replaces no finished run unless it is told to."""

import json
import signal
import subprocess
import sys

import pytest

from imaxray._common.folders import read_marker
from imaxray.errors import ImaxrayError
from imaxray.training.runs.folder import FILES, _take_up, only_writer, set_aside

IDENTITY = {
    "imaxray": "0", "model": "m", "layout": "packed", "seed": 0, "weights": "w", "schedule": "s",
    "config": {"method": "lora", "learning_rate": 0.1}, "dataset": "d", "image_cache": None,
}  # fmt: skip
OTHER = {**IDENTITY, "config": {"method": "lora", "learning_rate": 1e30}}

KILLED = """
import json, os, signal, sys
from pathlib import Path
from imaxray.training.runs.folder import _take_up
replace = Path.replace
def die(self, to):
    if to.name == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, to)
Path.replace = die
_take_up(Path(sys.argv[1]), json.loads(sys.argv[2]), False)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def finish(out):
    (out / "adapter").mkdir()
    (out / "run.json").write_text(json.dumps({"identity": IDENTITY}))


@pytest.mark.parametrize("stray", ["run.json", "started.json"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_stray_file_makes_no_run_of_a_folder(tmp_path, stray, overwrite):
    (tmp_path / "chapters").mkdir()
    (tmp_path / stray).write_text(json.dumps({"name": "thesis"}))
    with pytest.raises(ImaxrayError, match="holds other files"):
        _take_up(tmp_path, IDENTITY, overwrite)
    assert names(tmp_path) == sorted(["chapters", stray])


def test_a_begun_run_gives_way_and_the_users_files_stay(tmp_path):
    _take_up(tmp_path, IDENTITY, False)
    (tmp_path / "curve.jsonl").touch()
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "evaluation").mkdir()
    assert _take_up(tmp_path, OTHER, False) is None
    assert names(tmp_path) == ["evaluation", "notes.txt", "started.json"]
    assert set(read_marker(tmp_path).files) == set(FILES)


@pytest.mark.parametrize(
    "mine", ["checkpoints/notes.txt", "dynamics/notes.txt", "model/notes.txt", "adapter/a/b.pdf"]
)
def test_a_begun_run_with_a_file_of_the_user_is_moved_aside(tmp_path, mine):
    out = tmp_path / "run"
    _take_up(out, IDENTITY, False)
    (out / mine).parent.mkdir(parents=True)
    (out / mine).write_text("mine")
    with pytest.warns(UserWarning, match=rf"with your file {mine}, is now in .*run\.old-1"):
        assert _take_up(out, OTHER, False) is None
    assert (tmp_path / "run.old-1" / mine).read_text() == "mine"
    assert names(out) == ["started.json"]


def test_what_a_training_writes_into_its_folders_is_no_file_of_the_user(tmp_path):
    out = tmp_path / "run"
    _take_up(out, IDENTITY, False)
    for ours in (
        "checkpoints/checkpoint-4/optimizer.pt", "dynamics/gram/000000000012.parquet",
        "dynamics/probe.json", "model/config.json", "model/.part", "adapter/README.md",
        "model/model.safetensors", "tensorboard/events.out.tfevents.1.host",
    ):  # fmt: skip
        (out / ours).parent.mkdir(parents=True, exist_ok=True)
        (out / ours).touch()
    assert _take_up(out, OTHER, False) is None
    assert names(out) == ["started.json"] and names(tmp_path) == ["run"]


def test_a_run_with_a_checkpoint_is_not_lost_by_a_mistyped_option(tmp_path):
    out = tmp_path / "run"
    _take_up(out, IDENTITY, False)
    (out / "checkpoints" / "checkpoint-5").mkdir(parents=True)
    (out / "checkpoints" / "checkpoint-5" / "complete.json").touch()
    with pytest.raises(ImaxrayError, match=r"an unfinished run with learning_rate 0.1, not 1e\+30"):
        _take_up(out, OTHER, False)
    assert _take_up(out, IDENTITY, False) is None
    assert (out / "checkpoints" / "checkpoint-5").exists()


def test_a_finished_run_is_renamed_only_on_request(tmp_path):
    out = tmp_path / "run"
    _take_up(out, IDENTITY, False)
    finish(out)
    assert _take_up(out, IDENTITY, True) == {"identity": IDENTITY}
    with pytest.raises(ImaxrayError, match=r"a finished run with learning_rate.*run\.old-1\."):
        _take_up(out, OTHER, False)
    with only_writer(out), pytest.warns(UserWarning, match=r"now in .*run\.old-1"):
        assert _take_up(out, OTHER, True) is None
        assert (out / ".imaxray.lock").exists()
    assert names(tmp_path) == ["run", "run.old-1"] and names(out) == ["started.json"]
    assert names(tmp_path / "run.old-1") == ["adapter", "run.json", "started.json"]
    assert not list(tmp_path.rglob("*.lock"))


def test_a_finished_run_without_weights_is_not_finished(tmp_path):
    out = tmp_path / "run"
    _take_up(out, IDENTITY, False)
    finish(out)
    (out / "adapter").rmdir()
    with pytest.raises(ImaxrayError, match="whose adapter is missing"):
        _take_up(out, IDENTITY, False)


def test_a_run_of_an_earlier_version_goes_on(tmp_path):
    (tmp_path / "started.json").write_text(json.dumps(IDENTITY))
    assert _take_up(tmp_path, IDENTITY, False) is None
    assert read_marker(tmp_path).kind == "run"


def test_a_study_makes_room(tmp_path):
    out = tmp_path / "run"
    _take_up(out, IDENTITY, False)
    set_aside(out)
    assert names(tmp_path) == ["run"] and names(out) == []
    _take_up(out, IDENTITY, False)
    finish(out)
    with pytest.warns(UserWarning, match="now in"):
        set_aside(out)
    assert names(tmp_path) == ["run.old-1"]


@pytest.mark.parametrize("file", [".imaxray.json", "started.json"])
def test_a_kill_before_a_name_stands_is_no_refusal(tmp_path, file):
    out = tmp_path / "run"
    call = [sys.executable, "-c", KILLED, str(out), json.dumps(IDENTITY), file]
    assert subprocess.run(call, check=False).returncode == -signal.SIGKILL
    assert any(path.name.endswith(".part") for path in out.iterdir())
    with only_writer(out):
        assert _take_up(out, OTHER, False) is None
    assert names(out) == ["started.json"]
    assert sorted(path.name for path in out.iterdir()) == [".imaxray.json", "started.json"]
