"""Tests Medical-Diff-VQA: invented rows in the form of the release, and their faults."""

import random
import shutil

import polars as pl
import pytest

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source
from sources.releases.medical_diff_vqa import (
    ALL,
    ALL_HEADER,
    FRONTAL,
    HEADER,
    LATERAL,
    ROWS,
    SECOND,
    STUDIES,
    TABLE,
    table,
    write,
    write_gzipped,
)

SOURCE = get_source("medical-diff-vqa")


def test_questions_and_hints(tmp_path, read):
    write(tmp_path)
    assert SOURCE.check(tmp_path) == [TABLE, ALL]
    tables = read(tmp_path)
    first, second = f"mimic-cxr/{FRONTAL}", f"mimic-cxr/{SECOND}"
    shown = tables.annotations.select("image_id", "name", "value", "text", "answers", "row")
    assert shown.rows() == [
        (first, "level", 0.0, "what level is the pleural effusion?", ["small"], 1),
        (first, "abnormality", 0.0, "what abnormalities are seen in this image?",
         ["pleural effusion", "atelectasis"], 2),
        (second, "presence", 1.0, "is there edema?", ["no"], 4),
        (second, "view", 0.0, "which view is this image taken?", ["pa view"], 5),
    ]  # fmt: skip
    same = tables.annotations.select("kind", "origin", "quality", "source", "file").unique()
    assert same.rows() == [("qa", "silver", "rule", "medical-diff-vqa", TABLE)]
    assert tables.annotations["study_id"].null_count() == tables.annotations.height
    assert tables.hints.select("image_id", "split", "file", "row").rows() == [
        (first, "train", ALL, 1), (f"mimic-cxr/{LATERAL}", "train", ALL, 2),
        (second, "val", ALL, 3),
    ]  # fmt: skip
    assert tables.rejects.select("file", "row", "key", "code").rows() == [
        (TABLE, 3, "59999901", "two-images"),
    ]  # fmt: skip
    assert [(f.file, f.rows) for f in tables.files] == [(TABLE, 5), (ALL, 3)]


def test_gzipped_and_other_forms_of_ids_do_as_well(tmp_path, read):
    plain, other = tmp_path / "plain", tmp_path / "other"
    plain.mkdir()
    other.mkdir()
    write(plain)
    write_gzipped(other)
    one, two = read(plain), read(other)
    assert one.annotations.drop("file").equals(two.annotations.drop("file"))
    assert one.hints.drop("file").equals(two.hints.drop("file"))


def test_bad_rows_are_rejects(tmp_path, read):
    rows = [
        ("5", "19999901", "", "level", "q?", "a"),
        ("59999901", "x", "", "level", "q?", "a"),
        ("59999901", "19999903", "", "level", "q?", "a"),
        ("59999901", "", "", "odd", "q?", "a"),
        ("59999901", "19999901", "", "level", "", "a"),
        ("59999901", "19999901", "", "level", "q?", " , "),
        ("59999909", "19999901", "", "level", "q?", "a"),
        ("59999902", "19999901", "", "level", "q?", "a"),
        ("59999901", "19999901", "", "LEVEL", "q?", "a"),
    ]
    studies = [
        *STUDIES,
        (19999901, 59999904, "no-dicom", "lateral", "train", "", 1),
        (19999901, 59999905, FRONTAL, "lateral", "holdout", "", 1),
    ]
    tables = read(write(tmp_path, rows, studies))
    assert sorted(tables.rejects.select("file", "row", "code").rows()) == [
        (ALL, 4, "bad-id"), (ALL, 5, "bad-value"),
        (TABLE, 1, "bad-id"), (TABLE, 2, "bad-id"), (TABLE, 3, "bad-id"), (TABLE, 4, "bad-value"),
        (TABLE, 5, "empty-text"), (TABLE, 6, "empty-text"), (TABLE, 7, "unknown-study"),
        (TABLE, 8, "no-frontal-image"),
    ]  # fmt: skip
    assert tables.annotations.select("name", "row").rows() == [("level", 9)]


@pytest.mark.parametrize("column", ["study_id", "question_type", "question", "answer"])
def test_a_missing_column(column, tmp_path):
    write(tmp_path)
    header = [name if name != column else "other" for name in HEADER]
    table(tmp_path / TABLE, header, [(*row, "train") for row in ROWS])
    with pytest.raises(ImaxrayError, match=f"Expected the column {column}"):
        SOURCE.check(tmp_path)


def test_missing_and_damaged_files(tmp_path):
    write(tmp_path, ending=".gz")
    path = tmp_path / f"{TABLE}.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImaxrayError, match="damaged"):
        SOURCE.read(tmp_path)
    path.write_bytes(whole)
    table(tmp_path / f"{ALL}.gz", ALL_HEADER, [])
    with pytest.raises(ImaxrayError, match="at least one data row"):
        SOURCE.read(tmp_path)
    table(tmp_path / f"{ALL}.gz", ("study_id", "dicom_id"), [(1, 2)])
    with pytest.raises(ImaxrayError, match="Expected the column subject_id"):
        SOURCE.check(tmp_path)
    (tmp_path / f"{ALL}.gz").unlink()
    with pytest.raises(ImaxrayError, match=r"Expected mimic_all\.csv or mimic_all\.csv\.gz"):
        SOURCE.check(tmp_path)


def test_damaged_bytes_are_rejects_or_one_sentence(tmp_path, read):
    write(tmp_path)
    paths = (tmp_path / TABLE, tmp_path / ALL)
    whole = {path: path.read_bytes() for path in paths}
    rng = random.Random(0)
    outcomes = set()
    for trial in range(80):
        for path, content in whole.items():
            data = bytearray(content[: rng.randrange(len(content))] if trial % 4 == 0 else content)
            for _ in range(rng.randrange(6)):
                if data:
                    k = rng.randrange(len(data))
                    data[k] = rng.choice(b'",\n\r\x00\xff') if k % 2 else rng.randrange(256)
            path.write_bytes(bytes(data))
        try:
            read(tmp_path)
            outcomes.add("read")
        except ImaxrayError:
            outcomes.add("error")
    assert outcomes == {"read", "error"}


def test_the_account_closes_in_a_catalog(phantom_releases, tmp_path):
    jpg = tmp_path / "mimic-cxr-jpg"
    shutil.copytree(phantom_releases["mimic-cxr-jpg"], jpg, ignore=shutil.ignore_patterns("files"))
    images = get_source("mimic-cxr-jpg").read(jpg).images.sort("image_id")
    frontal = images.filter(pl.col("view").is_in(["PA", "AP"])).unique(
        "study_id", keep="first", maintain_order=True
    )
    ids = frontal.select("image_id", "study_id", "patient_id").head(3)
    bare = [[text.rpartition("/")[2] for text in row] for row in ids.rows()]
    views = {"PA": "postero-anterior", "AP": "antero-posterior"}
    studies = [(p, s, i, views[v], "train", "21800101", 1)
               for (i, s, p), v in zip(bare, frontal["view"], strict=False)]  # fmt: skip
    rows = [(s, p, "", "presence", "is there edema?", "yes") for _, s, p in bare]
    rows += [rows[0], ("59999901", "19999901", "", "presence", "is there edema?", "no")]
    root = tmp_path / "medical-diff-vqa"
    root.mkdir()
    write(root, rows, [*studies, STUDIES[0]])
    catalog = build_catalog({"mimic-cxr-jpg": jpg, "medical-diff-vqa": root}, verify="none")
    mine = catalog.annotations.filter(pl.col("source") == "medical-diff-vqa")
    assert sorted(mine["image_id"]) == sorted(f"mimic-cxr/{i}" for i, _, _ in bare)
    account = catalog.account.filter(pl.col("source") == "medical-diff-vqa").drop("source")
    assert account.rows() == [(ALL, 4, 3, 1), (TABLE, 5, 3, 2)]
    gone = catalog.rejects.filter(pl.col("source") == "medical-diff-vqa", pl.col("file") == TABLE)
    assert gone.select("row", "code").rows() == [
        (4, "duplicate-annotation"), (5, "unknown-image"),
    ]  # fmt: skip
    entries = catalog.entries.filter(pl.col("task") == "vqa")
    assert set(entries["target"]) == {"yes"} and entries.height == 3
