"""A changed file is found by its digest, and an unchanged one is read once."""

import json
import os
import time

import pytest
from typer.testing import CliRunner

from imaxray._common import digests as _digests
from imaxray._common.digests import MEMORY, changed_files
from imaxray._common.files import sha256
from imaxray._common.state import known_state, state_text, write_state
from imaxray._common.verifying import verify_folder
from imaxray.cli import app
from imaxray.errors import ImaxrayError


@pytest.fixture
def folder(tmp_path):
    """Two files of an hour ago, and a manifest."""
    past = time.time() - 3600
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (past, past))
    files = {name: sha256(tmp_path / name) for name in ("a", "b")}
    (tmp_path / "export.json").write_text(json.dumps({"files": files}))
    return tmp_path, files


def test_an_unchanged_file_is_read_once(folder, monkeypatch):
    path, files = folder
    read = []
    monkeypatch.setattr(_digests, "sha256", lambda file: (read.append(file.name), sha256(file))[1])
    assert changed_files(path, files) == changed_files(path, files) == []
    assert read == ["a", "b"]
    assert changed_files(path, files, full=True) == [] and len(read) == 4


def test_a_changed_or_missing_file_is_named(folder):
    path, files = folder
    changed_files(path, files)
    (path / "a").write_text("A")
    (path / "b").unlink()
    assert changed_files(path, files) == ["a", "b"]


def test_a_change_that_keeps_size_and_time_is_found_by_reading_all(folder):
    path, files = folder
    changed_files(path, files)
    about = (path / "a").stat()
    (path / "a").write_text("A")
    os.utime(path / "a", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert changed_files(path, files) == []
    assert verify_folder(path) == ("export.json", ["a"])
    assert changed_files(path, files) == ["a"]


def test_a_file_that_is_restored_with_its_time_counts_again(folder):
    path, files = folder
    about = (path / "a").stat()
    for content, found in (("A", ["a"]), ("a", [])):
        (path / "a").write_text(content)
        os.utime(path / "a", ns=(about.st_atime_ns, about.st_mtime_ns))
        assert changed_files(path, files) == found


def test_what_is_remembered_of_other_files_stays(folder):
    path, files = folder
    changed_files(path, {"a": files["a"]})
    changed_files(path, {"b": files["b"]})
    assert list(known_state(path / MEMORY)) == ["a", "b"]


def test_verify_full_reads_all_files_of_a_command(folder, tmp_path):
    path, files = folder
    changed_files(path, files)
    about = (path / "a").stat()
    (path / "a").write_text("A")
    os.utime(path / "a", ns=(about.st_atime_ns, about.st_mtime_ns))
    for words, found in (([], []), (["--verify", "full"], ["a"]), ([], ["a"])):
        CliRunner().invoke(app, [*words, "sources", "list"])
        assert changed_files(path, files) == found


def test_a_file_of_this_moment_is_not_remembered(folder):
    path, files = folder
    (path / "a").write_text("a")
    changed_files(path, files)
    assert list(known_state(path / MEMORY)) == ["b"]


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": [1, 2]}'])
def test_a_damaged_memory_is_no_memory(folder, content):
    path, files = folder
    (path / MEMORY).write_text(content)
    assert changed_files(path, files) == []


def test_a_folder_that_cannot_be_written_is_read_each_time(folder, monkeypatch):
    path, files = folder

    def full(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(_digests, "write_state", full)
    assert changed_files(path, files) == [] and not (path / MEMORY).exists()


def test_the_command(folder):
    path, _ = folder
    done = CliRunner().invoke(app, ["verify", str(path)])
    assert done.exit_code == 0 and "as they were written (export.json)" in done.output
    (path / "b").write_text("B")
    done = CliRunner().invoke(app, ["verify", str(path)])
    assert done.exit_code == 1 and "missing or changed: b" in done.output
    with pytest.raises(ImaxrayError, match=r"Expected a folder that imaxray wrote"):
        verify_folder(path / "nothing")


def test_a_digit_that_flips_in_a_manifest_is_found(folder):
    path, files = folder
    write_state(path / "export.json", {"seed": 10, "files": files})
    assert verify_folder(path) == ("export.json", [])
    (path / "export.json").write_text((path / "export.json").read_text().replace("10", "11"))
    assert verify_folder(path) == ("export.json", ["export.json"])
    (path / "export.json").write_text(state_text({"seed": 10, "files": files})[:-9])
    assert verify_folder(path) == ("export.json", ["export.json"])


def test_a_digit_that_flips_in_a_state_file_beside_the_manifest_is_found(folder):
    path, _ = folder
    identity = sha256(path / "export.json")
    marker = {"kind": "export", "identity": identity, "files": ["started.json", "roots.json"]}
    write_state(path / ".imaxray.json", marker)
    write_state(path / "started.json", {"seed": 10})
    (path / "roots.json").write_text("{}")
    assert verify_folder(path) == ("export.json", [])
    for name in ("started.json", ".imaxray.json"):
        before = (path / name).read_text()
        (path / name).write_text(before.replace("1", "2", 1))
        assert verify_folder(path) == ("export.json", [name])
        (path / name).write_text(before)
