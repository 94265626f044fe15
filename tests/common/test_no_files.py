"""A named pipe or a device in the place of a file is one sentence; nothing waits for it."""

import os
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from imaxray import dicom, radiograph
from imaxray._common.config import read_yaml
from imaxray._common.files import read_parquet, require_file, sha256
from imaxray._common.state import is_changed, known_state, read_state
from imaxray.audit.reading.record_files import records_of
from imaxray.errors import ImaxrayError
from imaxray.marks import Mark, append_mark, read_marks
from imaxray.sources._shared.files.json_items import read_items
from imaxray.sources._shared.files.tables import read_csv, read_header
from imaxray.sources.own_data.proposing.writing import new_source

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")

READERS = {
    "a.yaml": lambda path: read_yaml(path, what="a recipe", advice="name another"),
    "a.parquet": read_parquet,
    "b.parquet": lambda path: list(records_of(path)),
    "a.json": lambda path: read_state(path, advice="make it again"),
    "b.json": lambda path: read_items(path, ["question"]),
    "a.jsonl": lambda path: list(records_of(path)),
    "marks.jsonl": read_marks,
    "more.jsonl": lambda path: append_mark(path, Mark(image_id="a", verdict="wrong")),
    "a.csv": read_header,
    "b.csv": lambda path: read_csv(path, []),
    "a.csv.gz": read_header,
    "a.dcm": dicom.read_header,
    "a.png": radiograph.load,
    "b.png": radiograph.size,
    "any": sha256,
}


@pytest.fixture(autouse=True)
def _no_waiting():
    """End a test that waits, because a reader of a pipe without a writer waits for ever."""

    def stop(_number, _frame):
        raise TimeoutError("the reader waits for the pipe")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", READERS)
def test_a_named_pipe_is_not_read(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ImaxrayError, match=name):
        READERS[name](tmp_path / name)


def test_a_state_file_that_is_a_pipe_is_no_known_state(tmp_path):
    os.mkfifo(tmp_path / "run.json")
    assert known_state(tmp_path / "run.json") == {}
    assert is_changed(tmp_path / "run.json")


def test_a_device_is_not_read(tmp_path):
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    with pytest.raises(ImaxrayError, match="there is a device; name a file"):
        read_yaml(tmp_path / "zero.yaml", what="a recipe", advice="name another")


def test_a_pipe_that_the_shell_opened_is_read():
    out, into = os.pipe()
    os.write(into, b"steps: 4")
    os.close(into)
    path = Path(f"/dev/fd/{out}")
    require_file(path)
    assert read_yaml(path, what="a recipe", advice="name another") == {"steps": 4}
    os.close(out)


@pytest.mark.parametrize("name", ["x.png", "x.dcm", "without-ending", "x.txt", "x.xml"])
def test_a_pipe_among_the_images_does_not_stop_a_proposal(tmp_path, name):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(4):
        Image.fromarray(np.full((30, 30), number, np.uint8)).save(images / f"{number}.png")
    os.mkfifo(images / name)
    table = tmp_path / "labels.csv"
    rows = {"image": [f"{n}.png" for n in range(4)], "patient": ["a", "b", "c", "d"],
            "effusion": ["yes", "no", "yes", "no"]}  # fmt: skip
    pl.DataFrame(rows).write_csv(table)
    new_source("mine", [table], images, out=tmp_path / "out")
    assert (tmp_path / "out" / "source.yaml").is_file()
