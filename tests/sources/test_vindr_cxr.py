"""VinDr-CXR: readers, consensus, the Kaggle form, and what can be wrong with them."""

import gzip

import numpy as np
import polars as pl
import pytest

from imaxray.curation import CurationConfig, build_catalog
from imaxray.curation.readers import ReadersConfig
from imaxray.errors import ImaxrayError
from imaxray.schema import FINDINGS
from imaxray.sources import get_source

# the release's own order
LABELS = ["Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture",
          "Consolidation", "Edema", "Emphysema", "Enlarged PA", "ILD", "Infiltration",
          "Lung Opacity", "Lung cavity", "Lung cyst", "Mediastinal shift", "Nodule/Mass",
          "Pleural effusion", "Pleural thickening", "Pneumothorax", "Pulmonary fibrosis",
          "Rib fracture", "Other lesion", "COPD", "Lung tumor", "Pneumonia", "Tuberculosis",
          "Other diseases", "No finding"]  # fmt: skip
ONE, TWO, THREE = (f"{k}" * 32 for k in "abc")
BOXES = "annotations/annotations_train.csv"
CELLS = "annotations/image_labels_train.csv"
TEST_BOXES = "annotations/annotations_test.csv"
TEST_CELLS = "annotations/image_labels_test.csv"


def account_closes(tables):
    key = ["source", "file", "row"]
    frames = (tables.images, tables.annotations, tables.hints, tables.rejects)
    seen = pl.concat([f.select(key) for f in frames]).unique()
    for file in tables.files:
        rows = seen.filter(pl.col("source") == file.source, pl.col("file") == file.file)["row"]
        assert sorted(rows) == list(range(1, file.rows + 1)), file.file


def cells(image, reader=None, *, positive=(), fill="0", **others):
    values = [others.get(n, "1" if n in positive else fill) for n in LABELS]
    return ",".join([image, *([reader] if reader else []), *values])


def write(root, name, header, lines):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines, ""]))


@pytest.fixture
def release(tmp_path, write_dicom):
    """Two train images of three readers each, one test image of their consensus."""
    root = tmp_path / "vindr"
    box = "x_min,y_min,x_max,y_max"
    write(root, BOXES, f"image_id,rad_id,class_name,{box}",
          [f"{ONE},R1,Cardiomegaly,10.0,20.0,50.0,60.0",
           f"{ONE},R2,Cardiomegaly,12.0,22.0,52.0,62.0",
           f"{ONE},R2,ILD,1.0,2.0,30.0,40.0",
           f"{ONE},R3,Other lesion,70.5,70.5,90.0,95.0",
           f"{TWO},R1,No finding,,,,", f"{TWO},R2,No finding,,,,", f"{TWO},R3,No finding,,,,"],
    )  # fmt: skip
    write(root, CELLS, ",".join(["image_id", "rad_id", *LABELS]),
          [cells(ONE, "R1", positive=["Cardiomegaly"]),
           cells(ONE, "R2", positive=["Cardiomegaly", "ILD"]),
           cells(ONE, "R3", positive=["Other lesion", "Tuberculosis"]),
           *(cells(TWO, f"R{k}", positive=["No finding"]) for k in (1, 2, 3))],
    )  # fmt: skip
    write(root, TEST_BOXES, f"image_id,class_name,{box}",
          [f"{THREE},Pleural effusion,5.0,6.0,25.0,36.0",
           f"{THREE},Nodule/Mass,40.0,40.0,50.0,50.0"])  # fmt: skip
    header = ",".join(["image_id", *LABELS]).replace("Other diseases", "Other disease")
    write(root, TEST_CELLS, header, [cells(THREE, positive=["Pleural effusion", "Nodule/Mass"])])
    pixels = np.arange(100 * 120, dtype=np.uint16).reshape(100, 120)
    dicoms = ((f"train/{ONE}", {"PatientSex": "M", "PatientAge": "061Y"}),
              (f"train/{TWO}", {"PatientSex": "O", "PatientAge": "000Y", "ViewPosition": "AP"}),
              (f"test/{THREE}", {"PhotometricInterpretation": "MONOCHROME1"}))  # fmt: skip
    for name, tags in dicoms:
        write_dicom(root / f"{name}.dicom", pixels, **tags)
    return root


def read(root):
    tables = get_source("vindr-cxr").read(root)
    account_closes(tables)
    return tables


def of(tables, kind, *columns):
    facts = tables.annotations.filter(pl.col("kind") == kind)
    return facts.select(pl.col("image_id").str.tail(1), *columns).rows()


def test_images_and_hints(release):
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


def test_boxes_keep_their_readers(release):
    assert of(read(release), "region", "reader", "name", "text", "boxes", "quality") == [
        ("a", "R1", "Cardiomegaly", "cardiomegaly", [[10, 20, 50, 60]], "radiologist"),
        ("a", "R2", "Cardiomegaly", "cardiomegaly", [[12, 22, 52, 62]], "radiologist"),
        ("a", "R2", "ILD", "interstitial lung disease", [[1, 2, 30, 40]], "radiologist"),
        ("a", "R3", "Other lesion", None, [[70.5, 70.5, 90, 95]], "radiologist"),
        ("c", None, "Pleural Effusion", "pleural effusion", [[5, 6, 25, 36]], "consensus"),
        ("c", None, "Nodule/Mass", "nodule or mass", [[40, 40, 50, 50]], "consensus"),
    ]


def test_labels_of_each_reader(release):
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
    assert {code for file, _, code in rejected if file == CELLS} == {"merged-readers"}
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


def test_spellings_and_places(release):
    plain = read(release)
    for name in (BOXES, CELLS, TEST_BOXES, TEST_CELLS):
        text = (release / name).read_text()
        head, _, rest = text.partition("\n")
        head = head.replace("rad_id", "rad_ID").replace("Other diseases", "Other disease(s)")
        packed = gzip.compress(f"{head}\n{rest}".encode())
        (release / f"{name.removeprefix('annotations/')}.gz").write_bytes(packed)
        (release / name).unlink()
    other = read(release)
    assert other.annotations.drop("file").equals(plain.annotations.drop("file"))
    assert other.images.drop("file").equals(plain.images.drop("file"))


@pytest.fixture
def kaggle(release):
    """The challenge's form of the two train images."""
    for name in (BOXES, CELLS, TEST_BOXES, TEST_CELLS):
        (release / name).unlink()
    write(release, "train.csv", "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max",
          [f"{ONE},Cardiomegaly,3,R10,10,20,50,60", f"{TWO},No finding,14,R10,,,,",
           f"{ONE},Aortic enlargement,0,R9,30,10,60,40", f"{ONE},Cardiomegaly,3,R10,1,2,3,4",
           f"{TWO},No finding,14,R9,,,,", f"{TWO},Mass of cells,9,R8,1,2,3,4"])  # fmt: skip
    return release


def test_kaggle(kaggle):
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
    assert tables.rejects.select("row", "code").rows() == [(6, "unknown-label")]
    assert build_catalog({"vindr-cxr": kaggle}).images.height == 2
    assert get_source("vindr-cxr").remarks(kaggle) == []


def test_physionet_comes_before_kaggle(release):
    write(release, "train.csv", "image_id,class_name,rad_id,x_min,y_min,x_max,y_max", [f"{ONE},x"])
    (release / f"test/{THREE}.dicom").rename(release / f"train/{THREE}.dicom")
    assert "train.csv" not in [file.file for file in read(release).files]
    assert get_source("vindr-cxr").remarks(release) == [
        "Images in train that no row is about: 1.",
        "Not read, because PhysioNet's tables say more: Kaggle's train.csv.",
    ]


def test_garbage_rows_are_rejects(release, write_dicom):
    bad, frames = "d" * 32, "e" * 32
    (release / f"train/{bad}.dicom").write_bytes(b"no image")
    write_dicom(release / f"train/{frames}.dicom", np.zeros((4, 4), np.uint8), NumberOfFrames=2)
    write(release, BOXES, "image_id,rad_id,class_name,x_min,y_min,x_max,y_max",
          [f"{ONE},R1,cardiomegaly,10,20,50,60", f"{ONE},R1,Edema,10,20,10,60",
           f"{ONE},R1,Edema,50,20,10,60", f"{ONE},R1,Edema,a,20,10,60", f"{ONE},R1,Edema,,20,10,60",
           f"{ONE},R1,Odd,1,2,3,4", f"{ONE},,Edema,1,2,3,4", f"{ONE},R1,No finding,1,2,3,4",
           f"{ONE},R1,COPD,,,,", f"{ONE},R1,Pneumonia,nan,nan,nan,nan", f"{ONE},R1,Pneumonia,,,,",
           f"{bad},R1,Edema,1,2,3,4", f"{frames},R1,Edema,1,2,3,4", f"{'f' * 32},R1,Edema,1,2,3,4",
           "../../etc/passwd,R1,Edema,1,2,3,4", ",,,,,,", f"{ONE},R1,Other diseases,1,2,inf,4",
           f"{ONE},R1,ILD,900,900,950,950"])  # fmt: skip
    write(release, CELLS, ",".join(["image_id", "rad_id", *LABELS]),
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
    source = get_source("vindr-cxr")
    assert source.check(release) == [BOXES, CELLS, TEST_BOXES, TEST_CELLS]
    text = (release / CELLS).read_text()
    (release / CELLS).write_text(text.replace("Lung cyst", "Cyst"))
    with pytest.raises(ImaxrayError, match="Expected the column Lung cyst"):
        source.check(release)
    (release / CELLS).write_text(text.splitlines()[0])
    with pytest.raises(ImaxrayError, match="at least one data row"):
        source.read(release)
    (release / CELLS).unlink()
    with pytest.raises(ImaxrayError, match=r"Expected annotations/image_labels_train\.csv or"):
        source.check(release)
    (release / CELLS).write_text(text)
    for name in ("train", "test"):
        (release / name).rename(release / f"{name}_png")
    with pytest.raises(ImaxrayError, match=r"images that end in \.dicom or \.dcm"):
        source.check(release)
