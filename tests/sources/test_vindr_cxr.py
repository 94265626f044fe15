"""Tests VinDr-CXR: readers, consensus, the Kaggle form and their faults."""

import shutil

import numpy as np
import polars as pl
import pytest

from imaxray.curation import CurationConfig, build_catalog
from imaxray.curation.joining.readers import ReadersConfig
from imaxray.errors import ImaxrayError
from imaxray.schema import FINDINGS
from imaxray.sources import get_source
from sources.releases.vindr_cxr import (
    BOXES,
    CELLS,
    LABELS,
    ONE,
    TEST_BOXES,
    TEST_CELLS,
    THREE,
    TWO,
    cells,
    table,
)

SOURCE = get_source("vindr-cxr")


@pytest.fixture
def variants(small_releases):
    return small_releases("vindr-cxr")


@pytest.fixture
def release(variants, tmp_path):
    return shutil.copytree(variants["write"], tmp_path / "vindr")


def of(tables, kind, *columns):
    facts = tables.annotations.filter(pl.col("kind") == kind)
    return facts.select(pl.col("image_id").str.tail(1), *columns).rows()


def test_images_and_hints(release, read):
    tables = read(release)
    rows = tables.images.select("image_id", "path", "width", "height", "view", "sex", "age").rows()
    assert rows == [
        (f"vindr-cxr/{ONE}", f"train/{ONE}.dicom", 120, 100, "PA", "M", 61),
        (f"vindr-cxr/{TWO}", f"train/{TWO}.dicom", 120, 100, "AP", None, None),
        (f"vindr-cxr/{THREE}", f"test/{THREE}.dicom", 120, 100, "PA", None, None),
    ]
    assert tables.images["patient_id"].to_list() == tables.images["image_id"].to_list()
    assert tables.hints.select(pl.col("image_id").str.tail(1), "split").rows() == [
        *[("a", "train")] * 3, *[("b", "train")] * 3, ("c", "test"),
    ]  # fmt: skip


def test_boxes_keep_their_readers(release, read):
    assert of(read(release), "region", "reader", "name", "text", "boxes", "quality") == [
        ("a", "R1", "Cardiomegaly", "cardiomegaly", [[10, 20, 50, 60]], "radiologist"),
        ("a", "R2", "Cardiomegaly", "cardiomegaly", [[12, 22, 52, 62]], "radiologist"),
        ("a", "R2", "ILD", "interstitial lung disease", [[1, 2, 30, 40]], "radiologist"),
        ("a", "R3", "Other lesion", None, [[70.5, 70.5, 90, 95]], "radiologist"),
        ("c", None, "Pleural Effusion", "pleural effusion", [[5, 6, 25, 36]], "consensus"),
        ("c", None, "Nodule/Mass", "nodule or mass", [[40, 40, 50, 50]], "consensus"),
    ]


def test_labels_of_each_reader(release, read):
    tables = read(release)
    labels = tables.annotations.filter(pl.col("kind") == "label")
    table = labels.filter(pl.col("file").is_in([CELLS, TEST_CELLS]))
    assert set(table["name"]) <= set(FINDINGS)
    assert table.group_by("file", "row").len()["len"].to_list() == [13] * 7
    positive = table.filter(pl.col("value") == 1)
    assert positive.select("row", "name", "reader", "quality").rows() == [
        (1, "Cardiomegaly", "R1", "radiologist"), (2, "Cardiomegaly", "R2", "radiologist"),
        *((3 + k, "No Finding", f"R{k}", "radiologist") for k in (1, 2, 3)),
        (1, "Pleural Effusion", None, "consensus"),
    ]  # fmt: skip
    assert set(table["value"]) == {0.0, 1.0}
    # a row without a box states its label too
    bare = labels.filter(pl.col("file") == BOXES).select("row", "name", "value", "reader").rows()
    assert bare == [(4 + k, "No Finding", 1.0, f"R{k}") for k in (1, 2, 3)]


def test_the_catalog_settles_readers(release):
    catalog = build_catalog({"vindr-cxr": release})
    regions = catalog.annotations.filter(pl.col("kind") == "region")
    first = regions.filter(pl.col("name") == "Cardiomegaly").row(0, named=True)
    assert first["boxes"] == [pytest.approx([11, 21, 51, 61], abs=1e-3)]
    assert (first["reader"], first["quality"]) == (None, "wbf 2/3")
    labels = catalog.annotations.filter(pl.col("kind") == "label")
    assert labels["reader"].null_count() == labels.height == 3 * 13
    # three rows repeat No finding; one row stands for three readers' 13 labels of two images, and
    # one box for two
    rejected = catalog.rejects.select("file", "row", "code").unique().sort("file", "row").rows()
    assert [(row, code) for file, row, code in rejected if file == BOXES] == [
        (1, "merged-readers"), *((k, "duplicate-annotation") for k in (5, 6, 7)),
    ]  # fmt: skip
    assert {code for file, _, code in rejected if file == CELLS} == {
        "merged-readers", "unmapped-label",
    }  # fmt: skip
    assert dict(catalog.images.select(pl.col("image_id").str.tail(1), "split").rows()) == {
        "a": "train", "b": "train", "c": "test",
    }  # fmt: skip
    # "other lesion" names nothing to look for, so no entry asks for it
    rec = catalog.entries.filter(pl.col("task") == "rec")
    assert not rec["prompt"].str.contains("other").any() and rec.height == 4
    every = ReadersConfig(boxes="keep-all", labels="keep-all")
    kept = build_catalog({"vindr-cxr": release}, CurationConfig(readers=every))
    assert set(kept.annotations.filter(pl.col("kind") == "region")["reader"]) == {
        "R1", "R2", "R3", None,
    }  # fmt: skip


@pytest.mark.parametrize("variant", ["write_gzipped", "write_zipped"])
def test_spellings_and_places(variant, release, variants, read):
    plain, other = read(release), read(variants[variant])
    assert other.annotations.drop("file").equals(plain.annotations.drop("file"))
    assert other.images.drop("file").equals(plain.images.drop("file"))


@pytest.fixture
def kaggle(variants, tmp_path):
    return shutil.copytree(variants["write_kaggle"], tmp_path / "kaggle")


def test_kaggle(kaggle, read):
    tables = read(kaggle)
    assert tables.hints.is_empty()
    assert tables.images.select("file", "row").rows() == [("train.csv", 1), ("train.csv", 2)]
    assert of(tables, "region", "reader", "name", "boxes") == [
        ("a", "R10", "Cardiomegaly", [[10, 20, 50, 60]]),
        ("a", "R9", "Aortic enlargement", [[30, 10, 60, 40]]),
        ("a", "R10", "Cardiomegaly", [[1, 2, 3, 4]]),
    ]
    labels = tables.annotations.filter(pl.col("kind") == "label")
    # readers R10 and R9 of each image; R8 wrote a class nobody can read
    assert sorted(labels.group_by("image_id", "reader").len().rows()) == [
        (f"vindr-cxr/{image}", reader, 10) for image in (ONE, TWO) for reader in ("R10", "R9")
    ]
    yes = labels.filter(pl.col("value") == 1).select("row", "name", "reader").rows()
    assert yes == [(1, "Cardiomegaly", "R10"), (2, "No Finding", "R10"), (5, "No Finding", "R9")]
    assert "Edema" not in labels["name"].to_list()  # no class of the challenge: unknown
    assert tables.rejects.select("row", "code").rows() == [
        (6, "unknown-label"), (3, "unmapped-label"),
    ]  # fmt: skip
    assert build_catalog({"vindr-cxr": kaggle}).images.height == 2
    assert SOURCE.remarks(kaggle) == []


def test_physionet_comes_before_kaggle(release, read):
    table(release, "train.csv", "image_id,class_name,rad_id,x_min,y_min,x_max,y_max", [f"{ONE},x"])
    (release / f"test/{THREE}.dicom").rename(release / f"train/{THREE}.dicom")
    assert "train.csv" not in [file.file for file in read(release).files]
    assert SOURCE.remarks(release) == [
        "Images in train that no row is about: 1.",
        "Not read, because PhysioNet's tables say more: Kaggle's train.csv.",
    ]


def test_garbage_rows_are_rejects(release, write_dicom, read):
    bad, frames = "d" * 32, "e" * 32
    (release / f"train/{bad}.dicom").write_bytes(b"no image")
    write_dicom(release / f"train/{frames}.dicom", np.zeros((4, 4), np.uint8), NumberOfFrames=2)
    table(release, BOXES, "image_id,rad_id,class_name,x_min,y_min,x_max,y_max",
          [f"{ONE},R1,cardiomegaly,10,20,50,60", f"{ONE},R1,Edema,10,20,10,60",
           f"{ONE},R1,Edema,50,20,10,60", f"{ONE},R1,Edema,a,20,10,60", f"{ONE},R1,Edema,,20,10,60",
           f"{ONE},R1,Odd,1,2,3,4", f"{ONE},,Edema,1,2,3,4", f"{ONE},R1,No finding,1,2,3,4",
           f"{ONE},R1,COPD,,,,", f"{ONE},R1,Pneumonia,nan,nan,nan,nan", f"{ONE},R1,Pneumonia,,,,",
           f"{bad},R1,Edema,1,2,3,4", f"{frames},R1,Edema,1,2,3,4", f"{'f' * 32},R1,Edema,1,2,3,4",
           "../../etc/passwd,R1,Edema,1,2,3,4", ",,,,,,", f"{ONE},R1,Other diseases,1,2,inf,4",
           f"{ONE},R1,ILD,900,900,950,950"])  # fmt: skip
    table(release, CELLS, ",".join(["image_id", "rad_id", *LABELS]),
          [cells(ONE, "R1", Cardiomegaly="2", Edema="x", Atelectasis=""), cells(TWO, "R1", fill=""),
           cells(THREE, "R1")])  # fmt: skip
    tables = read(release)
    found = tables.rejects.filter(pl.col("file") == BOXES).select("row", "code").sort("row").rows()
    assert found == [
        (2, "zero-area-box"), (3, "zero-area-box"), (4, "bad-value"), (5, "bad-value"),
        (6, "unknown-label"), (7, "bad-id"), (8, "bad-value"), (9, "no-box"),
        (11, "duplicate-annotation"), (12, "unreadable-image"), (13, "multi-frame"),
        (14, "missing-image"), (15, "missing-image"), (16, "missing-image"), (17, "bad-value"),
    ]  # fmt: skip
    assert of(tables, "region", "name")[:2] == [("a", "Cardiomegaly"), ("a", "ILD")]
    found = tables.rejects.filter(pl.col("file") == CELLS).select("row", "code").rows()
    # an image of the test set is no train image
    assert sorted(found) == [(1, "unknown-label"), (1, "unknown-label"), (3, "missing-image")]
    stated = tables.annotations.filter(pl.col("file") == CELLS, pl.col("row") == 1)
    assert stated.height == 10  # 13 less two that are illegal and one that is blank
    catalog = build_catalog({"vindr-cxr": release})
    assert (BOXES, 18, "box-outside-frame") in catalog.rejects.select("file", "row", "code").rows()


def test_missing_files_columns_and_images(release):
    assert SOURCE.check(release) == [BOXES, CELLS, TEST_BOXES, TEST_CELLS]
    text = (release / CELLS).read_text()
    (release / CELLS).write_text(text.replace("Lung cyst", "Cyst"))
    with pytest.raises(ImaxrayError, match="Expected the column Lung cyst"):
        SOURCE.check(release)
    (release / CELLS).write_text(text.splitlines()[0])
    with pytest.raises(ImaxrayError, match="at least one data row"):
        SOURCE.read(release)
    (release / CELLS).unlink()
    with pytest.raises(ImaxrayError, match=r"Expected annotations/image_labels_train\.csv or"):
        SOURCE.check(release)
    (release / CELLS).write_text(text)
    for name in ("train", "test"):
        (release / name).rename(release / f"{name}_png")
    with pytest.raises(ImaxrayError, match=r"images that end in \.dicom or \.dcm"):
        SOURCE.check(release)


@pytest.mark.parametrize(
    ("variant", "path"),
    [("write_kaggle_sized", "vinbigdata/train/{}.png"), ("write_kaggle_meta", "train/{}.png")],
)
def test_boxes_are_scaled_to_resized_copies(variant, path, variants, read):
    whole, tables = read(variants["write_kaggle"]), read(variants[variant])
    assert tables.images.select("path", "width", "height").rows() == [
        (path.format(ONE), 60, 25), (path.format(TWO), 60, 25),
    ]  # fmt: skip
    # the DICOM images are 120 x 100
    halved = [
        (*row[:3], [[x1 / 2, y1 / 4, x2 / 2, y2 / 4] for x1, y1, x2, y2 in row[3]])
        for row in of(whole, "region", "reader", "name", "boxes")
    ]
    assert of(tables, "region", "reader", "name", "boxes") == halved
    labels = ("name", "value", "reader")
    assert of(tables, "label", *labels) == of(whole, "label", *labels)


def test_the_table_of_sizes_is_read_and_accounted_for(variants, tmp_path, read):
    root = shutil.copytree(variants["write_kaggle_meta"], tmp_path / "meta")
    assert SOURCE.check(root) == ["train.csv", "train_meta.csv"]
    rows = [f"{'f' * 32},100,120", f"{ONE},x,120", f"{ONE},0,120", ",1,1"]
    path = root / "train_meta.csv"
    path.write_text(path.read_text() + "\n".join(rows) + "\n")
    found = read(root).rejects.filter(pl.col("file") == "train_meta.csv")
    assert sorted(found.select("row", "code").rows()) == [
        (3, "missing-image"), (4, "bad-value"), (5, "bad-value"), (6, "missing-image"),
    ]  # fmt: skip
    path.write_text("image_id,dim0\n")
    with pytest.raises(ImaxrayError, match="Expected the column dim1"):
        SOURCE.check(root)


def test_boxes_of_a_resized_copy_of_unknown_scale_are_rejects(variants, tmp_path, read):
    root = shutil.copytree(variants["write_kaggle_meta"], tmp_path / "meta")
    (root / "train_meta.csv").unlink()
    tables = read(root)
    assert of(tables, "region", "name") == []
    codes = tables.rejects.select("row", "code").rows()
    assert [row for row, code in codes if code == "unknown-size"] == [1, 3, 4]
    # what needs no frame stays
    assert of(tables, "label", "name", "value") == of(
        read(variants["write_kaggle"]), "label", "name", "value"
    )


def test_a_dicom_file_needs_no_stated_size(kaggle, read):
    whole = read(kaggle)
    lines = (kaggle / "train.csv").read_text().splitlines()
    table(kaggle, "train.csv", f"{lines[0]},width,height,path,code",
          [f"{line},7,9,x.png,bad" for line in lines[1:]])  # fmt: skip
    tables = read(kaggle)
    assert tables.annotations.equals(whole.annotations) and tables.images.equals(whole.images)
