"""Files appear whole or not at all; nothing half-written stays behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from imaxray._common import files as _files
from imaxray._common import processes
from imaxray.errors import ImaxrayError

KILLED = """
import os, signal, sys
from pathlib import Path
from imaxray._common.files import whole_file
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


def kill_a_writer_of(path):
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path):
    path, other = tmp_path / "a.json", tmp_path / "b.json"
    for killed in (path, path, other):
        kill_a_writer_of(killed)
    assert len(names(tmp_path)) == 2  # the second one removed what the first one left
    _files.write_text(path, "{}")
    left = names(tmp_path)
    assert left[-1] == "a.json" and len(left) == 2 and left[0].startswith(".b.json.")
    _files.write_text(other, "{}")
    assert names(tmp_path) == ["a.json", "b.json"]


def test_what_a_living_writer_or_another_machine_has_not_finished_stays(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    with _files.whole_file(path) as mine:  # this process lives
        mine.write_text("mine")
        _files.write_text(path, "{}")
        assert mine.exists()
    kill_a_writer_of(path)
    monkeypatch.setattr(processes, "host", lambda: "another machine")
    _files.write_text(path, "{}")
    assert len(names(tmp_path)) == 2


def test_a_process_number_that_was_given_again_keeps_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    with monkeypatch.context() as other:  # an earlier process with the number of this one
        other.setattr(_files, "started", lambda _: "long ago")
        with _files.whole_file(path) as aside:
            aside.write_text("new")
            (tmp_path / "kept").write_bytes(aside.read_bytes())
            name = aside.name
    (tmp_path / "kept").rename(tmp_path / name)
    _files.write_text(path, "{}")
    assert names(tmp_path) == ["a.json"]


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
    source = Path(_files.__file__).parents[1]
    readers = re.compile(
        r"\bpl\.(read_(?!csv\(|ipc\(io\.BytesIO)|scan_)\w+|\bglob\.i?glob\b|\bpq\.read_|pyarrow\.dataset"
    )
    calls = {
        path.relative_to(source).as_posix(): readers.findall(path.read_text())
        for path in source.rglob("*.py")
    }
    assert [name for name, found in calls.items() if found] == ["_common/files.py"]
    # a CSV table is read from bytes
    csv = [p for p in source.rglob("*.py") if "pl.read_csv(" in p.read_text()]
    assert [path.name for path in csv] == ["tables.py"]
    assert "pl.read_csv(\n            body," in csv[0].read_text()


IN_ANOTHER_LOCALE = """
import os, sys
from pathlib import Path
import polars as pl
from imaxray._common.files import query_parquet, read_own_csv, read_parquet
from imaxray._common.files import write_csv, write_parquet
path = Path(os.fsdecode(sys.argv[1].encode(sys.getfilesystemencoding(), "surrogateescape")))
table = pl.DataFrame({"a": [1, 2]})
write_parquet(path / "t.parquet", table)
write_csv(path / "t.csv", table)
assert read_parquet(path / "t.parquet").equals(table)
assert query_parquet(path / "t.parquet", lambda rows: rows.filter(pl.col("a") > 1)).height == 1
assert read_own_csv(path / "t.csv").equals(table)
print(sys.getfilesystemencoding())
"""


def test_a_path_with_umlauts_is_the_same_in_a_locale_without_them(tmp_path):
    folder = tmp_path / "ä b"
    folder.mkdir()
    locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    found = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_LOCALE, str(folder)], check=True, capture_output=True,
        text=True, env={**os.environ, **locale, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert found.stdout.strip() != "utf-8"
    assert names(folder) == ["t.csv", "t.parquet"]


def test_a_path_that_is_not_utf8_is_one_sentence(tmp_path):
    path = tmp_path / os.fsdecode(b"b\xe4.parquet")
    with pytest.raises(ImaxrayError, match=r"^Expected a path in UTF-8, but .*rename that file"):
        _files.write_parquet(path, pl.DataFrame({"a": [1]}))
    assert names(tmp_path) == []


def test_tables_are_never_written_to_a_bare_path():
    source = Path(_files.__file__).parent
    bare = re.compile(
        r"\.(?:write|sink)_(?:parquet|ipc|csv)\((?!\s*utf8_path|\)|include_header)"
        r"|\b(?:memory_map|ParquetFile|ParquetWriter)\((?!\s*utf8_path)"
    )
    found = {
        path.relative_to(source).as_posix(): bare.findall(path.read_text())
        for path in source.rglob("*.py")
    }
    assert {name: lines for name, lines in found.items() if lines} == {}
