"""Folders appear whole or not at all, and only what a command wrote is ever removed."""

import json
import signal
import subprocess
import sys

import pytest

from imaxray._common.folders import (
    MARKER,
    Marker,
    is_complete,
    is_free,
    move_aside,
    read_marker,
    remove_listed,
    whole_folder,
    write_marker,
)
from imaxray.errors import ImaxrayError

KILLED = """
import json, os, signal, sys
from pathlib import Path
from imaxray._common.folders import whole as _folders
out, moment = Path(sys.argv[1]), sys.argv[2]
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
if moment == "swapping":
    rename = Path.rename
    Path.rename = lambda self, to: die() if to == out else rename(self, to)
if moment == "settling":
    _folders._settle = die
with _folders.whole_folder(out, manifest="m.json", keys=("kind",), what="thing") as aside:
    (aside / "m.json").write_text(json.dumps({"kind": "new"}))
    (aside / "new").touch()
    if moment == "writing":
        die()
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def visible(folder):
    return [name for name in names(folder) if not name.startswith(".")]


def folder(out, **more):
    return whole_folder(out, manifest="m.json", keys=("kind",), what="thing", **more)


def make(out, *files):
    with folder(out) as aside:
        (aside / "m.json").write_text(json.dumps({"kind": files}))
        for file in files:
            (aside / file).parent.mkdir(exist_ok=True)
            (aside / file).touch()


def test_a_folder_replaces_an_earlier_one_of_its_kind(tmp_path):
    out = tmp_path / "out"
    for content in ("one", "two"):
        with folder(out) as aside:
            (aside / "m.json").write_text(json.dumps({"kind": content}))
            (aside / content).touch()
    assert visible(out) == ["m.json", "two"] and names(tmp_path) == ["out"]


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ImaxrayError, match="holds other files"), folder(tmp_path):
        pytest.fail("nothing may be written")
    assert names(tmp_path) == ["thesis.tex"]


def test_an_error_leaves_the_earlier_folder(tmp_path):
    out = tmp_path / "out"
    with folder(out) as aside:
        (aside / "m.json").write_text('{"kind": 1}')
    with pytest.raises(ZeroDivisionError), folder(out) as aside:
        (aside / "half").touch()
        raise ZeroDivisionError
    assert visible(out) == ["m.json"] and names(tmp_path) == ["out"]


def test_the_users_files_are_kept(tmp_path):
    out = tmp_path / "out"
    make(out, "one", "in/one")
    for mine in ("mine.txt", "in/mine.txt", "deep/er/mine.txt"):
        (out / mine).parent.mkdir(parents=True, exist_ok=True)
        (out / mine).write_text("mine")
    (out / "link").symlink_to("mine.txt")
    make(out, "two", "in/two")
    assert visible(out) == ["deep", "in", "link", "m.json", "mine.txt", "two"]
    assert names(out / "in") == ["mine.txt", "two"] and names(tmp_path) == ["out"]
    assert (out / "deep" / "er" / "mine.txt").read_text() == "mine"
    make(out, "three")
    assert names(out / "in") == ["mine.txt"]


def test_a_users_file_in_the_way_is_a_refusal(tmp_path):
    out = tmp_path / "out"
    make(out, "one")
    (out / "two").write_text("mine")
    with pytest.raises(ImaxrayError, match="keep your file two"):
        make(out, "two")
    assert visible(out) == ["m.json", "one", "two"] and names(tmp_path) == ["out"]
    assert (out / "two").read_text() == "mine"


def test_a_folder_of_an_earlier_version_is_known_by_its_manifest(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "m.json").write_text(json.dumps({"kind": 1, "files": {"one": "0"}}))
    for name in ("one", "roots", "mine"):
        (out / name).touch()
    with folder(out, unlisted=["roots"]) as aside:
        (aside / "m.json").write_text("{}")
        (aside / "roots").write_text("new")
    assert visible(out) == ["m.json", "mine", "roots"] and (out / "roots").read_text() == "new"


def test_folders_with_names_like_temporary_ones_are_the_users(tmp_path):
    for name in ("out.part", ".out.part", ".out.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").touch()
    make(tmp_path / "out", "one")
    make(tmp_path / "out", "two")
    assert names(tmp_path) == [".out.old", ".out.part", "out", "out.part"]
    assert all((tmp_path / name / "mine").exists() for name in names(tmp_path) if name != "out")


@pytest.mark.parametrize("moment", ["writing", "swapping", "settling"])
def test_a_kill_at_any_moment_loses_nothing(tmp_path, moment):
    out = tmp_path / "out"
    make(out, "one")
    (out / "mine").write_text("mine")
    done = subprocess.run([sys.executable, "-c", KILLED, str(out), moment], check=False)
    assert done.returncode == -signal.SIGKILL and len(names(tmp_path)) > 1
    make(out, "two")
    assert visible(out) == ["m.json", "mine", "two"] and names(tmp_path) == ["out"]
    assert (out / "mine").read_text() == "mine"


def test_a_listed_path_outside_the_folder_is_not_followed(tmp_path):
    out = tmp_path / "out"
    (out / "in").mkdir(parents=True)
    (tmp_path / "precious").touch()
    (out / "in" / "a").touch()
    write_marker(out, Marker("thing", "", ("../precious", f"{tmp_path}/precious", "in/a", "b/")))
    remove_listed(out, read_marker(out).files)
    assert names(out) == [MARKER] and (tmp_path / "precious").exists()


def test_a_folder_is_moved_aside_under_a_free_name(tmp_path):
    for number in (1, 2):
        (tmp_path / "run").mkdir()
        assert move_aside(tmp_path / "run").name == f"run.old-{number}"
    assert is_free(tmp_path / "run") and not is_free(tmp_path)


def test_a_folder_that_lacks_a_listed_file_is_not_complete(tmp_path):
    make(tmp_path / "out", "one")
    wanted = {"kind": ["one"]}
    assert is_complete(tmp_path / "out", "m.json", wanted)
    assert not is_complete(tmp_path / "out", "m.json", {"kind": ["two"]})
    (tmp_path / "out" / "one").unlink()
    assert not is_complete(tmp_path / "out", "m.json", wanted)


@pytest.mark.parametrize("damage", ["", "{", "[]"])
def test_a_damaged_marker_loses_and_leaves_nothing(tmp_path, damage):
    out = tmp_path / "out"
    with whole_folder(out, manifest="m.json", keys=("files",), what="thing") as aside:
        (aside / "one").write_text("1")
        (aside / "m.json").write_text(json.dumps({"files": {"one": "0"}}))
    (out / "mine").write_text("mine")
    (out / MARKER).write_text(damage)
    with whole_folder(out, manifest="m.json", keys=("files",), what="thing") as aside:
        (aside / "two").write_text("2")
        (aside / "m.json").write_text(json.dumps({"files": {"two": "0"}}))
    assert visible(out) == ["m.json", "mine", "two"] and names(tmp_path) == ["out"]
