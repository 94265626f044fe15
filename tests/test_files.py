"""Files appear whole or not at all; nothing half-written stays behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from imaxray import _files

KILLED = """
import os, signal, sys
from pathlib import Path
from imaxray._files import whole_file
with whole_file(Path(sys.argv[1])) as aside:
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


def test_a_kill_keeps_the_earlier_content(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (left,) = set(names(tmp_path)) - {"a.txt"}
    assert left.endswith(_files.PART) and left.startswith(".a.txt.")
    (tmp_path / "a.txt.part").write_text("the user's")
    _files.write_text(path, "new")
    _files.remove_unfinished([tmp_path, tmp_path / "absent"])
    assert path.read_text() == "new" and names(tmp_path) == ["a.txt", "a.txt.part"]


def test_two_writers_of_a_file_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with _files.whole_file(path) as one, _files.whole_file(path) as two:
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
    _files.write_text(tmp_path / "a.json", "ü")
    assert order == ["flush", "name"]


def test_what_is_written_reads_back(tmp_path):
    table = pl.DataFrame({"a": [1, 2]})
    _files.write_parquet(tmp_path / "t.parquet", table)
    _files.write_csv(tmp_path / "t.csv", table)
    _files.write_text(tmp_path / "t.json", "ü")
    assert pl.read_parquet(tmp_path / "t.parquet").equals(table)
    assert pl.read_csv(tmp_path / "t.csv").equals(table)
    assert (tmp_path / "t.json").read_text("utf-8") == "ü"
    digest = _files.sha256(tmp_path / "t.json")
    assert len(digest) == 64 and digest == _files.sha256(tmp_path / "t.json")


@pytest.mark.parametrize(("mine", "other"), [("p[1]", "p1"), ("*", "p"), ("p?", "p1")])
def test_a_path_is_never_a_pattern(tmp_path, mine, other):
    for name, value in ((other, 0), (mine, 1)):
        (tmp_path / name).mkdir()
        table = pl.DataFrame({"a": [value]})
        _files.write_parquet(tmp_path / name / f"{name}.parquet", table)
        table.write_ipc(tmp_path / name / f"{name}.arrow")
    assert _files.read_parquet(tmp_path / mine / f"{mine}.parquet")["a"].to_list() == [1]
    assert _files.read_parquet(tmp_path / mine / f"{mine}.parquet", ["a"]).height == 1
    assert _files.read_arrow(tmp_path / mine / f"{mine}.arrow")["a"].to_list() == [1]


def test_tables_are_read_in_one_place():
    source = Path(_files.__file__).parent
    readers = re.compile(
        r"\bpl\.(read_(?!csv\()|scan_)\w+|\bglob\.i?glob\b|\bpq\.read_|pyarrow\.dataset"
    )
    calls = {
        path.relative_to(source).as_posix(): readers.findall(path.read_text())
        for path in source.rglob("*.py")
    }
    assert [name for name, found in calls.items() if found] == ["_files.py"]
    # a CSV table is read from bytes
    csv = [p for p in source.rglob("*.py") if "pl.read_csv(" in p.read_text()]
    assert [path.name for path in csv] == ["tables.py"]
    assert "pl.read_csv(\n            body," in csv[0].read_text()
