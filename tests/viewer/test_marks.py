"""Tests marks on everything that the viewer shows, under kill, and by two viewers at once."""

import json
import random
import signal
import subprocess
import sys
import time

import polars as pl
import pytest

from imaxray.curation import open_dataset
from imaxray.errors import ImaxrayError
from imaxray.marks import AnnotationKey, Mark, append_mark, fact_digest, read_marks
from imaxray.pseudo.table import ADDED, PSEUDO
from imaxray.schema import conform
from imaxray.viewer.library import Library
from imaxray.viewer.opening.subject import open_subject

WRITER = """
import sys
from pathlib import Path
from imaxray.marks import Mark, append_mark
path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
for number in range(count):
    append_mark(path, Mark(image_id=f"{name}/{number}", verdict="wrong", note="é" * (number % 50)))
    print(number, flush=True)
"""


def writer(path, name, count):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_two_viewers_lose_no_mark(tmp_path):
    path, count = tmp_path / "marks.jsonl", 30
    writers = [writer(path, name, count) for name in "ab"]
    seen = 0
    while any(one.poll() is None for one in writers):
        if path.exists():
            found = len(read_marks(path))  # whole lines at every moment
            assert found >= seen
            seen = found
        time.sleep(0.02)
    assert all(one.wait() == 0 for one in writers)
    ids = {mark.image_id for mark in read_marks(path)}
    assert ids == {f"{name}/{number}" for name in "ab" for number in range(count)}
    assert path.read_bytes().count(b"\n") == 2 * count


def test_a_kill_loses_at_most_the_line_that_is_written(tmp_path):
    path, rng = tmp_path / "marks.jsonl", random.Random(1)
    acknowledged = set()
    for run in range(4):
        one = writer(path, str(run), 100_000)
        assert one.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.02, 0.2))
        one.send_signal(signal.SIGKILL)
        told = one.stdout.read().split("\n")[:-1]
        one.wait()
        acknowledged |= {f"{run}/{number}" for number in told}
        ids = {mark.image_id for mark in read_marks(path)} if path.exists() else set()
        assert acknowledged <= ids
        assert len(ids - acknowledged) <= run + 1  # written, but not yet told
    append_mark(path, Mark(image_id="last", verdict="note"))
    marks = read_marks(path)
    assert acknowledged | {"last"} <= {mark.image_id for mark in marks}
    for line in path.read_bytes().splitlines():
        json.loads(line)


def test_a_line_cut_at_any_byte_is_repaired_by_the_next(tmp_path):
    path = tmp_path / "marks.jsonl"
    append_mark(path, Mark(image_id="a", verdict="wrong"))
    first = path.read_bytes()
    append_mark(path, Mark(image_id="ü", verdict="doubtful", note="é"))
    whole = path.read_bytes()
    for cut in range(len(first), len(whole) + 1):
        path.write_bytes(whole[:cut])
        complete = cut >= len(whole) - 1  # only the line break may lack
        assert [m.image_id for m in read_marks(path)] == ["a", "ü"][: 1 + complete]
        append_mark(path, Mark(image_id="c", verdict="note"))
        assert [m.image_id for m in read_marks(path)] == [*["a", "ü"][: 1 + complete], "c"]


def test_a_file_of_something_else_is_not_touched(tmp_path):
    path = tmp_path / "thesis.txt"
    path.write_text("Chapter 1")
    with pytest.raises(ImaxrayError, match="Expected"):
        read_marks(path)
    with pytest.raises(ImaxrayError, match="Expected"):
        append_mark(path, Mark(image_id="a", verdict="note"))
    assert path.read_text() == "Chapter 1"


@pytest.fixture(scope="module")
def places(viewed_root, tmp_path_factory):
    """Paths that the viewer is opened on: dataset, built folder, answers, pseudo annotations."""
    out = tmp_path_factory.mktemp("places")
    data = open_dataset(viewed_root / "data")
    train = data.tables.images.filter(split="train", source="mimic-cxr-jpg")
    row = {
        "pseudo_id": "0" * 16, "image_id": train["image_id"][0], "patient_id": "p", "task": "vqa",
        "prompt": "Is there an effusion?", "target": "no", "boxes": [],
        "answer": '{"answers":["no"],"closed":true}',
        "template": "vqa.closed.0", "prompt_from": "template", "text": "no", "raw": "no",
        "tokens": 1, "ended": True, "logprob": -0.1, "agreement": None, "model": "m",
        "checkpoint": "c", "decoding": "{}", "round": 1,
    }  # fmt: skip
    for name, without in (("pseudo", []), ("older pseudo", list(ADDED))):
        folder = out / name
        folder.mkdir()
        conform(pl.DataFrame([row]), PSEUDO).drop(without).write_parquet(
            folder / "candidates.parquet"
        )
        (folder / "annotate.json").write_text(
            json.dumps({"identity": {"dataset": data.sha256}})
        )  # fmt: skip
    (out / "built").mkdir()
    (out / "built" / "imax").symlink_to(viewed_root / "data")
    return {
        "dataset": [viewed_root / "data"],
        "built": [out / "built"],
        "run": [viewed_root / "arms" / "good.jsonl"],
        "pseudo": [out / "pseudo"],
        "older pseudo": [out / "older pseudo"],
        "all": [viewed_root / "data", viewed_root / "arms" / "bad.jsonl", out / "pseudo"],
    }


@pytest.mark.parametrize("kind", ["dataset", "built", "run", "pseudo", "older pseudo", "all"])
def test_everything_that_is_shown_can_be_marked(places, viewed_root, tmp_path, kind):
    data = viewed_root / "data" if kind in ("run", "pseudo", "older pseudo") else None
    library = Library(open_subject(places[kind], data=data), tmp_path / "marks.jsonl")
    shown = library.dataset("")
    fact = open_dataset(shown.folder).tables.annotations.row(0, named=True)
    library.mark(Mark(image_id=fact["image_id"], verdict="doubtful", dataset=shown.sha256))
    key = AnnotationKey(
        **{name: fact[name] for name in ("kind", "name", "source", "reader", "file", "row")},
        fact=fact_digest(fact),
    )
    library.mark(Mark(image_id=fact["image_id"], verdict="wrong", annotation=key))
    assert library.verdicts() == {fact["image_id"]: {"doubtful", "wrong"}}
    again = Library(open_subject(places[kind], data=data), tmp_path / "marks.jsonl")
    assert [mark["verdict"] for mark in again.marks_of(fact["image_id"])] == ["doubtful", "wrong"]
    if "pseudo" in kind or kind == "all":
        index = shown.index.table
        assert index.filter(pl.col("candidates") > 0).height == 1


def test_a_derived_annotation_can_be_marked(tmp_path):
    row = {
        "kind": "label", "name": "Edema", "source": "derived", "reader": None, "row": None,
        "file": "derivations.parquet", "fact": "0" * 16,
    }  # fmt: skip
    mark = Mark(image_id="a", verdict="wrong", annotation=AnnotationKey(**row))
    append_mark(tmp_path / "marks.jsonl", mark)
    (kept,) = read_marks(tmp_path / "marks.jsonl")
    assert kept.annotation == mark.annotation
