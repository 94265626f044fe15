"""Files and folders appear whole or not at all; nothing half-written stays behind."""

import json
import os
import signal
import subprocess
import sys

import polars as pl
import pytest

from imaxray import _files
from imaxray.errors import ImaxrayError

KILLED = """
import os, signal, sys
from pathlib import Path
from imaxray._files import whole_file
with whole_file(Path(sys.argv[1]), shared=sys.argv[2] == "shared") as aside:
    aside.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_has_its_name_only_when_it_is_finished(tmp_path):
    path = tmp_path / "a.txt"
    with _files.whole_file(path) as aside:
        aside.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new" and names(tmp_path) == ["a.txt"]


def test_an_error_keeps_the_earlier_content(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), _files.whole_file(path) as aside:
        aside.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("shared", ["alone", "shared"])
def test_a_kill_keeps_the_earlier_content(tmp_path, shared):
    path = tmp_path / "a.txt"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), shared], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (left,) = set(names(tmp_path)) - {"a.txt"}
    assert left.endswith(_files.PART) and left.startswith("." if shared == "shared" else "a.txt")
    _files.write_text(path, "new")
    assert path.read_text() == "new"


def test_two_writers_of_a_shared_file_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with _files.whole_file(path, shared=True) as one, _files.whole_file(path, shared=True) as two:
        assert one != two
        one.write_text("same")
        two.write_text("same")
    assert path.read_text() == "same" and names(tmp_path) == ["a.txt"]


def test_content_reaches_the_disk_before_the_name(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, type(tmp_path).replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("flush"), fsync(fd)))
    monkeypatch.setattr(
        type(tmp_path), "replace", lambda self, to: (order.append("name"), replace(self, to))
    )
    _files.write_json(tmp_path / "a.json", {"b": 1, "a": "ü"})
    assert order == ["flush", "name"]


def test_what_is_written_reads_back(tmp_path):
    table = pl.DataFrame({"a": [1, 2]})
    _files.write_parquet(tmp_path / "t.parquet", table)
    _files.write_csv(tmp_path / "t.csv", table)
    _files.write_json(tmp_path / "t.json", {"b": 1, "a": 2}, sort_keys=True)
    assert pl.read_parquet(tmp_path / "t.parquet").equals(table)
    assert pl.read_csv(tmp_path / "t.csv").equals(table)
    assert (tmp_path / "t.json").read_text() == '{\n "a": 2,\n "b": 1\n}\n'
    digest = _files.sha256(tmp_path / "t.json")
    assert len(digest) == 64 and digest == _files.sha256(tmp_path / "t.json")


def folder(out):
    return _files.whole_folder(out, manifest="m.json", keys=("kind",), what="thing")


def test_a_folder_replaces_an_earlier_one_of_its_kind(tmp_path):
    out = tmp_path / "out"
    for content in ("one", "two"):
        with folder(out) as aside:
            (aside / "m.json").write_text(json.dumps({"kind": content}))
            (aside / content).touch()
    assert names(out) == ["m.json", "two"] and names(tmp_path) == ["out"]


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
    assert names(out) == ["m.json"] and names(tmp_path) == ["out"]
