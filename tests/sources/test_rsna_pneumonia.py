"""Tests the RSNA pneumonia challenge: boxes, classes and their faults."""

import shutil

import polars as pl
import pytest
from PIL import Image

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source
from sources.releases.rsna_pneumonia import CLASSES, LABELS, ONE, THREE, TWO, tables_of

SOURCE = get_source("rsna-pneumonia")


@pytest.fixture
def variants(small_releases):
    return small_releases("rsna-pneumonia")


@pytest.fixture
def release(variants, tmp_path):
    return shutil.copytree(variants["write"], tmp_path / "rsna")


def test_images(release, read):
    images = read(release).images
    ids = [f"rsna-pneumonia/{name}" for name in (ONE, TWO, THREE)]
    assert images["image_id"].to_list() == images["patient_id"].to_list() == ids
    assert images.select("path", "width", "height", "view", "sex", "age", "row").rows() == [
        (f"stage_2_train_images/{ONE}.dcm", 1024, 1024, "PA", "F", 51, 1),
        (f"stage_2_train_images/{TWO}.dcm", 8, 8, "AP", "M", 48, 3),
        (f"stage_2_train_images/{THREE}.dcm", 8, 8, None, None, None, 4),
    ]


def test_boxes_and_labels(release, read):
    facts = read(release).annotations
    regions = facts.filter(pl.col("kind") == "region")
    assert regions.select("row", "name", "text", "boxes").rows() == [
        (1, "Lung Opacity", "lung opacity", [[264.0, 152.0, 477.0, 531.0]]),
        (2, "Lung Opacity", "lung opacity", [[562.0, 152.0, 818.0, 605.0]]),
    ]
    labels = facts.filter(pl.col("kind") == "label").sort("image_id", "name")
    assert labels.select(pl.col("image_id").str.tail(1), "name", "value").rows() == [
        ("6", "Lung Opacity", 1.0), ("6", "No Finding", 0.0), ("6", "Pneumonia", 1.0),
        ("7", "No Finding", 0.0), ("7", "Pneumonia", 0.0),
        ("8", "Lung Opacity", 0.0), ("8", "No Finding", 1.0), ("8", "Pneumonia", 0.0),
    ]  # fmt: skip
    assert set(facts.select("origin", "quality").rows()) == {("human", "radiologist")}
    assert facts["reader"].null_count() == facts.height


def test_boxes_are_scaled_to_the_copy(release, read):
    (release / "stage_2_train_images" / f"{ONE}.dcm").unlink()
    Image.new("L", (512, 256)).save(release / "stage_2_train_images" / f"{ONE}.png")
    regions = read(release).annotations.filter(pl.col("kind") == "region")
    assert regions["boxes"].to_list()[0] == [[132.0, 38.0, 238.5, 132.75]]


def test_zipped_and_gzipped_tables_do_as_well(release, variants, read):
    plain, packed = read(release), read(variants["write_packed"])
    assert [f.file for f in packed.files] == [f"{LABELS}.zip", f"{CLASSES}.gz"]
    assert packed.annotations.drop("file").equals(plain.annotations.drop("file"))


def test_the_catalog(release):
    catalog = build_catalog({"rsna-pneumonia": release})
    assert catalog.images.height == 3
    # the second class row of an image with two boxes says nothing new
    assert catalog.rejects.select("file", "row", "code").rows() == [
        (CLASSES, 2, "duplicate-annotation")
    ]
    findings = catalog.entries.filter(pl.col("task") == "findings")
    # not normal, yet nothing that is stated present: no entry may say No Finding
    targets = dict(findings.select(pl.col("image_id").str.tail(1), "target").rows())
    assert targets == {"6": "Lung Opacity, Pneumonia", "8": "No Finding"}


def test_garbage_rows_are_rejects(release, read):
    tables_of(
        release,
        [f"{ONE},1,2,3,4,1", f"{ONE},1,2,0,4,1", f"{ONE},nan,2,3,4,1", f"{ONE},1,2,3,4,0",
         f"{ONE},1,2,3,4,2", f"{ONE},,,,,1", f"{TWO},NaN,NaN,NaN,NaN,0", f"{TWO},,,,,0",
         "no-such-image,1,2,3,4,1", ",,,,,", "../x,1,2,inf,4,1", f"{ONE},1,2,inf,4,1"],
        [f"{ONE},Lung opacity", f"{TWO},Odd", "no-such-image,Normal", f"{THREE},"],
    )  # fmt: skip
    (release / "stage_2_train_images" / f"{THREE}.dcm").write_bytes(b"no image")
    tables = read(release)
    codes = tables.rejects.select("file", "row", "code").sort("file", "row").rows()
    assert [(row, code) for file, row, code in codes if file == LABELS] == [
        (2, "zero-area-box"), (3, "bad-value"), (4, "bad-value"), (5, "bad-value"),
        (6, "bad-value"), (8, "duplicate-annotation"), (9, "missing-image"),
        (10, "missing-image"), (11, "missing-image"), (12, "bad-value"),
    ]  # fmt: skip
    assert [(row, code) for file, row, code in codes if file == CLASSES] == [
        (2, "unknown-label"), (3, "missing-image"), (4, "unreadable-image"),
    ]  # fmt: skip
    assert build_catalog({"rsna-pneumonia": release}).images.height == 2


def test_missing_columns_rows_and_images(release):
    assert SOURCE.check(release) == [LABELS, CLASSES, "stage_2_train_images"]
    assert SOURCE.remarks(release) == []
    text = (release / LABELS).read_text()
    (release / LABELS).write_text(text.replace("Target", "target"))
    with pytest.raises(ImaxrayError, match="Expected the column Target"):
        SOURCE.check(release)
    (release / LABELS).write_text(text.splitlines()[0] + "\n")
    with pytest.raises(ImaxrayError, match="at least one data row"):
        SOURCE.read(release)
    (release / LABELS).write_text(text)
    (release / "stage_2_train_images").rename(release / "elsewhere")
    with pytest.raises(ImaxrayError, match="Expected images that end in"):
        SOURCE.check(release)


def test_boxes_of_no_sane_size_are_rejects(release, read):
    rows = ["1e308,2,1e308,4", "1,2,1e-320,4", "1,2,3,-4", "1,2,3,4"]
    tables_of(release, [f"{ONE},{row},1" for row in rows], [f"{ONE},Lung Opacity"])
    tables = read(release)
    assert tables.rejects.filter(pl.col("file") == LABELS).select("row", "code").rows() == [
        (1, "bad-value"), (2, "zero-area-box"), (3, "zero-area-box"),
    ]  # fmt: skip
    (box,) = tables.annotations.filter(pl.col("kind") == "region")["boxes"].to_list()
    assert box == [[1, 2, 4, 6]]


@pytest.mark.parametrize("folder", ["stage_2_train_images_png", "stage_2_train_images_jpg",
                                    "train_images_png"])  # fmt: skip
def test_folders_of_converted_images(folder, release, read):
    whole = read(release)
    images = release / "stage_2_train_images"
    (release / folder).mkdir()
    suffix = ".jpg" if folder.endswith("jpg") else ".png"
    for path in sorted(images.iterdir()):
        Image.new("L", (512, 512)).save(release / folder / f"{path.stem}{suffix}")
        path.unlink()
    images.rmdir()
    tables = read(release)
    assert SOURCE.check(release) == [LABELS, CLASSES, folder]
    assert tables.images["image_id"].equals(whole.images["image_id"])
    assert tables.images["path"][0] == f"{folder}/{ONE}{suffix}"
    regions = tables.annotations.filter(pl.col("kind") == "region")
    assert regions["boxes"].to_list() == [[[132, 76, 238.5, 265.5]], [[281, 76, 409, 302.5]]]


def test_the_processed_copy_has_the_classes_in_its_table(variants, read):
    whole, tables = read(variants["write"]), read(variants["write_processed"])
    assert SOURCE.check(variants["write_processed"]) == [
        "stage2_train_metadata.csv", "Training/Images",
    ]  # fmt: skip
    columns = ["image_id", "name", "value"]
    label = pl.col("kind") == "label"
    assert sorted(tables.annotations.filter(label).select(columns).rows()) == sorted(
        whole.annotations.filter(label).select(columns).rows()
    )
    regions = tables.annotations.filter(pl.col("kind") == "region")
    assert regions["boxes"].to_list() == [[[132, 76, 238.5, 265.5]], [[281, 76, 409, 302.5]]]
    assert tables.rejects.is_empty() and SOURCE.remarks(variants["write_processed"]) == []


def test_the_class_may_be_written_without_blanks_around_the_slash(release, read):
    whole = read(release)
    path = release / CLASSES
    path.write_text(path.read_text().replace(" / ", "/"))
    assert read(release).annotations.equals(whole.annotations)


def test_without_classes_two_labels_are_unknown(release, read):
    (release / CLASSES).unlink()
    tables = read(release)
    labels = tables.annotations.filter(pl.col("kind") == "label")
    assert set(labels["name"]) == {"Pneumonia"} and labels.height == 3
    assert SOURCE.remarks(release) == [
        "Classes: none, because stage_2_detailed_class_info.csv is not in this copy."
    ]
