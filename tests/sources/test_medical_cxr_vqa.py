"""Tests Medical-CXR-VQA: both documented headers and both spellings of the file."""

import polars as pl
import pytest

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source
from sources.releases.medical_cxr_vqa import (
    DICOM,
    OTHER,
    WHERE,
    WITH_IMAGES,
    WITHOUT,
    images,
    table,
)

SOURCE = get_source("medical-cxr-vqa")

NAMES = [
    f"{name}.csv{ending}"
    for name in ("medical-cxr-vqa-questions", "medical_cxr_vqa_questions")
    for ending in ("", ".gz")
]


def facts(tables):
    columns = ("image_id", "name", "value", "text", "answers", "quality", "row")
    return tables.annotations.select(columns).rows()


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_name_their_image(name, tmp_path, read):
    rows = [
        (DICOM, 19999901, 59999901, WHERE, "location", "left lower lobe", "train"),
        (DICOM, 19999901, 59999901, "is there edema?", "presence", "yes", "test"),
        ("", 19999901, 59999901, "is there edema?", "presence", "yes", "test"),
        ("x", 19999901, 59999901, "is there edema?", "presence", "yes", "test"),
        (DICOM, 19999901, 59999901, "is there edema?", "presence", "", "test"),
    ]
    table(tmp_path / name, WITH_IMAGES, rows)
    assert SOURCE.check(tmp_path) == [name]
    tables = read(tmp_path)
    image = f"mimic-cxr/{DICOM}"
    assert facts(tables) == [
        (image, "location", 0.0, WHERE, ["left lower lobe"], "language-model", 1),
        (image, "presence", 1.0, "is there edema?", ["yes"], "language-model", 2),
    ]
    assert tables.hints.is_empty() and set(tables.annotations["origin"]) == {"silver"}
    assert sorted(tables.rejects.select("row", "code").rows()) == [
        (3, "unknown-study"), (4, "bad-id"), (5, "empty-text"),
    ]  # fmt: skip


def test_rows_that_name_their_study(tmp_path, read):
    table(tmp_path / NAMES[0], WITHOUT, [("59999901", "19999901", "location", WHERE, "left")])
    images(tmp_path)
    assert SOURCE.check(tmp_path) == [NAMES[0], "mimic_all.csv"]
    tables = read(tmp_path)
    image = f"mimic-cxr/{DICOM}"
    assert facts(tables) == [(image, "location", 0.0, WHERE, ["left"], "language-model", 1)]
    assert tables.hints.select("image_id", "split").rows() == [(image, "test")]
    images(tmp_path, view="left lateral")
    assert read(tmp_path).rejects["code"].to_list() == ["no-frontal-image"]


def test_the_least_header(tmp_path, read):
    table(tmp_path / NAMES[0], ("", "study_id", "question", "answer"),
          [(0, "59999901", WHERE, "left, right"), (1, "59999902", WHERE, "left")])  # fmt: skip
    images(tmp_path)
    tables = read(tmp_path)
    assert [fact[1:5] for fact in facts(tables)] == [("question", 0.0, WHERE, ["left", "right"])]
    assert tables.rejects.select("row", "code").rows() == [(2, "unknown-study")]


def test_what_is_missing_or_damaged_is_one_sentence(tmp_path):
    path = tmp_path / NAMES[1]
    table(path, WITHOUT, [("59999901", "19999901", "location", WHERE, "left")] * 50)
    with pytest.raises(ImaxrayError, match=r"Expected mimic_all\.csv"):
        SOURCE.check(tmp_path)
    images(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ImaxrayError, match="damaged"):
        SOURCE.read(tmp_path)
    table(path, [name for name in WITHOUT if name != "answer"], [])
    with pytest.raises(ImaxrayError, match="Expected the column answer"):
        SOURCE.check(tmp_path)
    table(path, WITHOUT, [])
    with pytest.raises(ImaxrayError, match="at least one data row"):
        SOURCE.read(tmp_path)


def test_the_account_closes_in_a_catalog(phantom_releases, tmp_path):
    jpg = phantom_releases["mimic-cxr-jpg"]
    image, study, patient = (
        get_source("mimic-cxr-jpg").read(jpg).images.filter(pl.col("view") == "LATERAL")
        .select("image_id", "study_id", "patient_id").row(0)
    )  # fmt: skip
    bare = [text.rpartition("/")[2] for text in (image, patient, study)]
    rows = [(*bare, WHERE, "location", "left", "train"),
            (OTHER, 19999901, 59999901, WHERE, "location", "left", "train")]  # fmt: skip
    table(tmp_path / NAMES[0], WITH_IMAGES, rows)
    catalog = build_catalog({"mimic-cxr-jpg": jpg, "medical-cxr-vqa": tmp_path}, verify="none")
    mine = catalog.annotations.filter(pl.col("source") == "medical-cxr-vqa")
    assert mine.select("image_id", "row").rows() == [(image, 1)]
    account = catalog.account.filter(pl.col("source") == "medical-cxr-vqa").drop("source")
    assert account.rows() == [(NAMES[0], 2, 1, 1)]
