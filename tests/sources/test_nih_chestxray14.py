"""Tests ChestX-ray14: the whole release, its first edition, the sample and converted copies."""

import shutil

import polars as pl
import pytest
from PIL import Image

from imaxray.errors import ImaxrayError
from imaxray.sources import get_source

SOURCE = get_source("nih-chestxray14")
TABLE, BOXES = "Data_Entry_2017_v2020.csv", "BBox_List_2017.csv"


@pytest.fixture
def variants(small_releases):
    return small_releases("nih-chestxray14")


@pytest.fixture
def release(variants, tmp_path):
    return shutil.copytree(variants["write"], tmp_path / "nih")


def labels(tables):
    facts = tables.annotations.filter(pl.col("kind") == "label")
    return facts.select("image_id", "name", "value").rows()


def images(tables):
    columns = ("image_id", "patient_id", "width", "height", "view", "sex", "age")
    return tables.images.select(columns).rows()


def regions(tables):
    facts = tables.annotations.filter(pl.col("kind") == "region")
    return facts.select(pl.col("image_id").str.slice(-16), "name", "boxes").rows()


def test_the_table_the_boxes_and_the_lists(release, read):
    tables = read(release)
    assert images(tables) == [
        ("nih-chestxray14/00000001_000.png", "nih-chestxray14/1", 16, 16, "PA", "M", 58),
        ("nih-chestxray14/00000001_001.png", "nih-chestxray14/1", 16, 16, "AP", "M", 59),
        ("nih-chestxray14/00000002_000.png", "nih-chestxray14/2", 16, 16, "PA", "F", 81),
    ]
    assert len(labels(tables)) == 3 * 14 + 1  # 14 labels of each image, and one No Finding
    assert {row[1] for row in labels(tables) if row[2] == 1} == {
        "Cardiomegaly", "Pleural Effusion", "No Finding", "Infiltration",
    }  # fmt: skip
    # published in pixels of 1024 x 1024
    assert regions(tables) == [
        ("00000001_000.png", "Cardiomegaly",
         [pytest.approx([225.1 / 64, 547 / 64, (225.1 + 86.8) / 64, (547 + 79.2) / 64])]),
        ("00000002_000.png", "Infiltration",
         [pytest.approx([1.5 / 64, 7 / 64, 101.5 / 64, 207 / 64])]),
    ]  # fmt: skip
    assert dict(tables.rejects.group_by("file").len().iter_rows()) == {
        TABLE: 1, "test_list.txt": 1,
    }  # fmt: skip


def test_the_first_edition_in_twelve_folders_says_the_same(variants, read):
    whole, parts = read(variants["write"]), read(variants["write_parts"])
    assert images(parts) == images(whole) and labels(parts) == labels(whole)
    assert regions(parts) == regions(whole)
    assert parts.images["path"].to_list() == [
        "images_001/images/00000001_000.png", "images_002/images/00000001_001.png",
        "images_003/images/00000002_000.png",
    ]  # fmt: skip


def test_the_sample_says_the_same(variants, read):
    whole, sample = read(variants["write"]), read(variants["write_sample"])
    assert images(sample) == images(whole) and labels(sample) == labels(whole)
    assert sample.rejects.is_empty() and regions(sample) == []
    assert sample.images["path"][0] == "sample/images/00000001_000.png"
    assert SOURCE.check(variants["write_sample"]) == ["sample_labels.csv"]


@pytest.mark.parametrize("place", ["sample", "sample/sample"])
def test_the_table_of_the_sample_may_lie_beside_its_images(place, variants, tmp_path, read):
    root = shutil.copytree(variants["write_sample"], tmp_path / "sample-copy")
    (root / place).mkdir(exist_ok=True)
    if place == "sample/sample":
        (root / "sample/images").rename(root / "sample/sample/images")
    (root / "sample_labels.csv").rename(root / place / "sample_labels.csv")
    assert images(read(root)) == images(read(variants["write"]))


def test_a_copy_without_the_list_of_boxes_has_labels_only(release, read):
    whole = read(release)
    assert SOURCE.remarks(release) == []
    (release / BOXES).unlink()
    tables = read(release)
    assert labels(tables) == labels(whole) and regions(tables) == []
    assert SOURCE.check(release) == [TABLE]
    assert SOURCE.remarks(release) == [
        "Boxes: none, because BBox_List_2017.csv is not in this copy."
    ]


def test_a_resized_jpeg_copy_has_the_ids_of_the_png_files(release, read):
    whole = read(release)
    for path in sorted((release / "images").iterdir()):
        Image.new("L", (32, 32)).save(path.with_suffix(".jpg"))
        path.unlink()
    (release / "images").rename(release / "images-224")
    tables = read(release)
    assert tables.images["image_id"].equals(whole.images["image_id"])
    assert tables.images["path"][0] == "images-224/00000001_000.jpg"
    doubled = [[[2 * side for side in box] for box in boxes] for *_, boxes in regions(whole)]
    assert [boxes for *_, boxes in regions(tables)] == [
        [pytest.approx(box) for box in boxes] for boxes in doubled
    ]


def test_a_copy_without_any_table_is_refused(release):
    (release / TABLE).unlink()
    with pytest.raises(ImaxrayError, match=r"Data_Entry_2017\.csv or sample_labels\.csv"):
        SOURCE.check(release)
