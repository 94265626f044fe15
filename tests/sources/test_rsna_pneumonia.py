"""RSNA pneumonia challenge: boxes, classes, and what can be wrong with them."""

import gzip
import zipfile

import numpy as np
import polars as pl
import pytest
from PIL import Image

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source

LABELS = "stage_2_train_labels.csv"
CLASSES = "stage_2_detailed_class_info.csv"
ONE, TWO, THREE = (f"0004cfab-14fd-4e49-80ba-63a80b6bddd{k}" for k in (6, 7, 8))
GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)


def account_closes(tables):
    key = ["source", "file", "row"]
    frames = (tables.images, tables.annotations, tables.hints, tables.rejects)
    seen = pl.concat([f.select(key) for f in frames]).unique()
    for file in tables.files:
        rows = seen.filter(pl.col("source") == file.source, pl.col("file") == file.file)["row"]
        assert sorted(rows) == list(range(1, file.rows + 1)), file.file


def write(root, labels, classes):
    root.mkdir(exist_ok=True)
    (root / LABELS).write_text("\n".join(["patientId,x,y,width,height,Target", *labels, ""]))
    (root / CLASSES).write_text("\n".join(["patientId,class", *classes, ""]))


@pytest.fixture
def release(tmp_path, write_dicom):
    """An image with two boxes, one not normal, one normal."""
    root = tmp_path / "rsna"
    write(
        root,
        [f"{ONE},264.0,152.0,213.0,379.0,1", f"{ONE},562.0,152.0,256.0,453.0,1",
         f"{TWO},,,,,0", f"{THREE},,,,,0"],
        [f"{ONE},Lung Opacity", f"{ONE},Lung Opacity", f"{TWO},No Lung Opacity / Not Normal",
         f"{THREE},Normal"],
    )  # fmt: skip
    for name, size, tags in (
        (ONE, 1024, {"ViewPosition": "PA", "PatientSex": "F", "PatientAge": "51"}),
        (TWO, 8, {"ViewPosition": "AP", "PatientSex": "M", "PatientAge": "048Y"}),
        (THREE, 8, {}),
    ):
        write_dicom(root / "stage_2_train_images" / f"{name}.dcm",
                    np.zeros((size, size), np.uint8) + GREY[0, 3], **tags)  # fmt: skip
    return root


def read(root):
    tables = get_source("rsna-pneumonia").read(root)
    account_closes(tables)
    return tables


def test_images(release):
    images = read(release).images
    ids = [f"rsna-pneumonia/{name}" for name in (ONE, TWO, THREE)]
    assert images["image_id"].to_list() == images["patient_id"].to_list() == ids
    assert images.select("path", "width", "height", "view", "sex", "age", "row").rows() == [
        (f"stage_2_train_images/{ONE}.dcm", 1024, 1024, "PA", "F", 51, 1),
        (f"stage_2_train_images/{TWO}.dcm", 8, 8, "AP", "M", 48, 3),
        (f"stage_2_train_images/{THREE}.dcm", 8, 8, None, None, None, 4),
    ]


def test_boxes_and_labels(release):
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


def test_boxes_are_scaled_to_the_copy(release):
    (release / "stage_2_train_images" / f"{ONE}.dcm").unlink()
    Image.new("L", (512, 256)).save(release / "stage_2_train_images" / f"{ONE}.png")
    regions = read(release).annotations.filter(pl.col("kind") == "region")
    assert regions["boxes"].to_list()[0] == [[132.0, 38.0, 238.5, 132.75]]


def test_zipped_and_gzipped_tables_do_as_well(release):
    plain = read(release)
    with zipfile.ZipFile(release / f"{LABELS}.zip", "w") as archive:
        archive.write(release / LABELS, LABELS)
    (release / f"{CLASSES}.gz").write_bytes(gzip.compress((release / CLASSES).read_bytes()))
    (release / LABELS).unlink()
    (release / CLASSES).unlink()
    packed = read(release)
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


def test_garbage_rows_are_rejects(release):
    write(
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
    source = get_source("rsna-pneumonia")
    assert source.check(release) == [LABELS, CLASSES, "stage_2_train_images"]
    assert source.remarks(release) == []
    text = (release / LABELS).read_text()
    (release / LABELS).write_text(text.replace("Target", "target"))
    with pytest.raises(ImaxrayError, match="Expected the column Target"):
        source.check(release)
    (release / LABELS).write_text(text.splitlines()[0] + "\n")
    with pytest.raises(ImaxrayError, match="at least one data row"):
        source.read(release)
    (release / LABELS).write_text(text)
    (release / "stage_2_train_images").rename(release / "elsewhere")
    with pytest.raises(ImaxrayError, match="Expected images that end in"):
        source.check(release)
