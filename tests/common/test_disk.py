"""A full disk is an OSError, whichever library wrote the file."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from imaxray._common import disk as _disk
from imaxray._common.disk import system_errors
from imaxray._common.folders import growing_folder, whole_folder
from imaxray.errors import ImaxrayError


def room(monkeypatch, size):
    monkeypatch.setattr(_disk.os, "statvfs", lambda _: SimpleNamespace(f_bavail=size, f_frsize=1))


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (RuntimeError("underlying IO error: No space left on device (os error 28)"), errno.ENOSPC),
        (OSError("Read-only file system (os error 30)"), errno.EROFS),
        (ValueError("Disk quota exceeded (os error 122)"), errno.EDQUOT),
    ],
)
def test_the_number_in_the_text_counts(tmp_path, error, number):
    with pytest.raises(OSError, match=os.strerror(number)) as caught, system_errors(tmp_path):
        raise error
    assert caught.value.errno == number and caught.value.filename == str(tmp_path)


@pytest.mark.parametrize("folder", ["", "not/yet/there"])
def test_any_error_on_a_full_disk_is_a_full_disk(tmp_path, monkeypatch, folder):
    room(monkeypatch, 4096)
    with pytest.raises(OSError, match="No space left"), system_errors(tmp_path / folder):
        raise RuntimeError("unexpected pos 64 vs 0")


def test_other_errors_stay_what_they_are(tmp_path, monkeypatch):
    room(monkeypatch, 2**30)
    with pytest.raises(RuntimeError, match="unexpected pos"), system_errors(tmp_path):
        raise RuntimeError("unexpected pos")
    room(monkeypatch, 0)
    with pytest.raises(ImaxrayError, match="mine"), system_errors(tmp_path):
        raise ImaxrayError("mine")
    with pytest.raises(FileNotFoundError), system_errors(tmp_path):
        Path(tmp_path / "none").read_text()


@pytest.mark.parametrize("kind", ["growing", "whole"])
def test_the_folders_of_commands_tell(tmp_path, monkeypatch, kind):
    room(monkeypatch, 0)
    out = tmp_path / "out"
    folder = (
        growing_folder(out)
        if kind == "growing"
        else whole_folder(out, manifest="m.json", keys=(), what="thing")
    )
    with pytest.raises(OSError, match="No space left"), folder:
        raise RuntimeError("transport error")
    assert list(tmp_path.iterdir()) == []
