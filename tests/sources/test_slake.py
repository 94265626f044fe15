"""Tests SLAKE: English questions and boxes on chest radiographs; all else is rejected."""

import json
import shutil

import polars as pl
import pytest

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source

SOURCE = get_source("slake")


@pytest.fixture
def release(small_releases, tmp_path):
    return shutil.copytree(small_releases("slake")["write"], tmp_path / "slake")


def change(path, *extra, **changes):
    """The first item with ``changes``, then the others, then ``extra``."""
    items = json.loads(path.read_text())
    path.write_text(json.dumps([items[0] | changes, *items[1:], *extra]))


def test_questions_boxes_and_splits(release, account_closes):
    tables = SOURCE.read(release)
    account_closes(tables)
    assert tables.images.select("image_id", "patient_id", "path", "width", "height").rows() == [
        ("slake/xmlab1", "slake/xmlab1", "imgs/xmlab1/source.jpg", 50, 40),
        ("slake/xmlab2", "slake/xmlab2", "imgs/xmlab2/source.jpg", 50, 40),
    ]
    questions = tables.annotations.filter(pl.col("kind") == "qa")
    assert questions.select("image_id", "name", "value", "text", "answers").rows() == [
        ("slake/xmlab1", "Organ", 1.0, "Does the picture contain the lung?", ["yes"]),
        ("slake/xmlab2", "Organ", 0.0, "How many lungs?", ["2"]),
        ("slake/xmlab2", "Position", 0.0, "Where is the lesion?", ["right lung"]),
    ]
    regions = tables.annotations.filter(pl.col("kind") == "region")
    assert regions.select("image_id", "name", "text", "boxes", "row").rows() == [
        ("slake/xmlab1", "Heart", "heart", [[10.0, 12.0, 30.5, 30.0]], 1),
        ("slake/xmlab1", "Lung", "lung", [[2.0, 4.0, 17.0, 34.0], [30.0, 4.0, 44.0, 34.0]], 1),
        ("slake/xmlab2", "Right Lung", "right lung", [[1.0, 1.0, 11.0, 21.0]], 2),
        ("slake/xmlab2", "Pneumonia", "pneumonia", [[3.0, 5.0, 7.0, 9.0]], 2),
    ]
    assert tables.hints.select("image_id", "split").rows() == [
        ("slake/xmlab1", "train"), ("slake/xmlab2", "val"), ("slake/xmlab2", "test"),
    ]  # fmt: skip
    assert tables.rejects.select("file", "row", "code").rows() == [
        ("train.json", 2, "not-english"), ("train.json", 3, "not-x-ray"),
        ("train.json", 4, "not-chest"), ("imgs", 3, "not-chest"), ("imgs", 4, "not-chest"),
    ]  # fmt: skip


def test_the_catalog_closes(release):
    catalog = build_catalog({"slake": release})
    assert set(catalog.entries["task"]) == {"vqa", "rec", "reg"}
    assert dict(catalog.images.select("image_id", "split").iter_rows()) == {
        "slake/xmlab1": "train", "slake/xmlab2": "test",
    }  # fmt: skip
    assert catalog.account["rows_in"].sum() == 10


def test_mirrors_with_other_names(release, account_closes):
    before = SOURCE.read(release)
    (release / "validate.json").rename(release / "validation.json")
    for path in sorted((release / "imgs").glob("*/source.jpg")):
        path.rename(path.with_name(f"source_{path.parent.name}.jpg"))
    nested = release.parent / "outer" / "Slake1.0"
    nested.parent.mkdir()
    release.rename(nested)
    tables = SOURCE.read(nested.parent)
    account_closes(tables)
    assert tables.annotations.drop("file").equals(before.annotations.drop("file"))
    assert tables.images["path"][0] == "Slake1.0/imgs/xmlab1/source_xmlab1.jpg"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"question": ""}, "empty-text"),
        ({"answer": None}, "empty-text"),
        ({"answer_type": "MAYBE"}, "bad-value"),
        ({"img_name": "../x/source.jpg"}, "path-outside-release"),
        ({"img_name": "/etc/passwd"}, "path-outside-release"),
        ({"img_name": "source.jpg"}, "bad-id"),
        ({"img_name": "xmlab9/source.jpg"}, "missing-image"),
        ({"img_name": ["x"]}, "bad-id"),
        ({"modality": "CT"}, "not-x-ray"),
        ({"location": "Pelvic Cavity"}, "not-chest"),
        ({"q_lang": 7}, "not-english"),
        ({"img_name": "x" * 5000 + "/source.jpg"}, "missing-image"),
        ({"img_name": "xmlab1\0/source.jpg"}, "missing-image"),
    ],
)
def test_bad_questions_are_rejects(release, changes, code, account_closes):
    change(release / "validate.json", "no object", **changes)
    tables = SOURCE.read(release)
    account_closes(tables)
    codes = tables.rejects.filter(pl.col("file") == "validate.json").select("row", "code").rows()
    assert codes == [(1, code), (2, "bad-json")]


def test_bad_boxes_are_rejects(release, account_closes):
    path = release / "imgs/xmlab1/detection.json"
    bad = [
        {"A": [1, 2, 0, 4]}, {"B": [1, 2, 3]}, {"C": ["1", 2, 3, 4]}, {"D": [1, 2, -3, 4]},
        {" ": [1, 2, 3, 4]}, {"E": None}, {"F": [1e308, 1, 1e308, 1]}, {"G": [True, 1, 1, 1]},
        {"Heart": [1, 2, 3, 4]},
    ]  # fmt: skip
    path.write_text(json.dumps(bad))
    tables = SOURCE.read(release)
    account_closes(tables)
    rejects = tables.rejects.filter(pl.col("file") == "imgs", pl.col("row") == 1)
    assert rejects["code"].to_list() == ["zero-area-box", *["bad-value"] * 7]
    texts = ("{", "[]", '{"Heart": [1, 2, 3, 4]}', "[1]", "", "[" * 5000)
    for text in texts:
        path.write_text(text)
        tables = SOURCE.read(release)
        account_closes(tables)
        code = "no-box" if text == "[]" else "bad-json"
        assert (1, code) in tables.rejects.filter(pl.col("file") == "imgs")["row", "code"].rows()


def test_missing_and_damaged_files(release, account_closes):
    (release / "imgs/xmlab2/source.jpg").write_bytes(b"no image")
    tables = SOURCE.read(release)
    account_closes(tables)
    codes = tables.rejects.filter(pl.col("file") == "test.json")["code"].to_list()
    assert codes == ["unreadable-image"]
    whole = (release / "test.json").read_bytes()
    for content in (whole[:80], b"", b"[]", b'[{"question": "x"}]', b"{}"):
        (release / "test.json").write_bytes(content)
        with pytest.raises(ImaxrayError, match="Expected"):
            SOURCE.check(release)
    (release / "test.json").unlink()
    with pytest.raises(ImaxrayError, match=r"Expected test\.json"):
        SOURCE.check(release)
    (release / "test.json").write_bytes(whole)
    shutil.rmtree(release / "imgs")
    with pytest.raises(ImaxrayError, match=r"unpack imgs\.zip"):
        SOURCE.check(release)


def test_images_may_be_unpacked_into_a_folder_of_their_name(release, account_closes):
    whole = SOURCE.read(release)
    (release / "imgs").rename(release / "unpacked")
    (release / "imgs").mkdir()
    (release / "unpacked").rename(release / "imgs" / "imgs")
    copy = SOURCE.read(release)
    account_closes(copy)
    assert copy.images["path"].to_list()[0] == "imgs/imgs/xmlab1/source.jpg"
    assert copy.annotations.drop("file").equals(whole.annotations.drop("file"))
