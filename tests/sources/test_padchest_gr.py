"""Tests PadChest-GR: sentences, boxes of two readers, labels, splits and their faults."""

import gzip
import json
import shutil
import zipfile

import numpy as np
import polars as pl
import pytest
from PIL import Image

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source
from sources.releases.padchest_gr import HEADER, ONE, REPORTS, TABLE, TWO, finding, study, tables_of

SOURCE = get_source("padchest-gr")


@pytest.fixture
def release(small_releases, tmp_path):
    return shutil.copytree(small_releases("padchest-gr")["write"], tmp_path / "padchest-gr")


def test_images_and_hints(release, read):
    tables = read(release)
    folder = "Padchest_GR_files/PadChest_GR"
    rows = tables.images.drop("split", "source", "file", "view").rows()
    assert rows == [
        (f"padchest/{ONE}", "padchest/7", "padchest/100", f"{folder}/{ONE}", 200, 100, "M", 61, 1),
        (f"padchest/{TWO}", "padchest/8", "padchest/200", f"{folder}/{TWO}", 40, 50, "F", 45, 4),
    ]
    assert tables.hints.select("image_id", "split", "row").rows() == [
        *((f"padchest/{ONE}", "train", k) for k in (1, 2, 3)), (f"padchest/{TWO}", "val", 4),
    ]  # fmt: skip
    assert tables.rejects.select("row", "code").rows() == [(3, "unmapped-label")]


def test_boxes_become_pixels_and_keep_their_readers(release, read):
    regions = read(release).annotations.filter(pl.col("kind") == "region")
    found = regions.select("name", "text", "raw", "reader", "boxes").rows()
    assert [row[:4] for row in found] == [
        ("Cardiomegaly", "Mild cardiomegaly", "Mild cardiomegaly.", "first"),
        ("Cardiomegaly", "Mild cardiomegaly", "Mild cardiomegaly.", "second"),
        ("aortic elongation", "Aortic elongation", None, None),
        ("Nodule", "Bilateral nodules", "Bilateral nodules.", None),
    ]
    boxes = [row[4] for row in found]
    expected = [[[50, 50, 150, 90]], [[52, 50, 152, 90]], [[80, 10, 120, 40]],
                [[20, 10, 40, 20], [160, 10, 180, 20]]]  # fmt: skip
    assert [len(b) for b in boxes] == [1, 1, 1, 2]
    np.testing.assert_allclose(np.concatenate(boxes), np.concatenate(expected))
    assert set(regions.select("origin", "quality").rows()) == {("human", "radiologist")}


def test_reports_and_labels(release, read):
    facts = read(release).annotations
    reports = facts.filter(pl.col("kind") == "report")
    assert reports.select("image_id", "name", "text", "origin").rows() == [
        (f"padchest/{ONE}", "findings",
         "Mild cardiomegaly. Aortic elongation Bilateral nodules. No pleural effusion.", "silver"),
        (f"padchest/{TWO}", "findings", "Sin hallazgos.", "silver"),
    ]  # fmt: skip
    labels = facts.filter(pl.col("kind") == "label").select("row", "name", "value").rows()
    # a label that is not listed is unknown: none is negative
    assert labels == [(1, "Cardiomegaly", 1.0), (2, "Nodule", 1.0), (4, "No Finding", 1.0)]


def test_the_catalog(release):
    catalog = build_catalog({"padchest-gr": release})
    assert dict(catalog.images.select("image_id", "split").rows()) == {
        f"padchest/{ONE}": "train", f"padchest/{TWO}": "val",
    }  # fmt: skip
    heart = catalog.annotations.filter(name="Cardiomegaly", kind="region").row(0, named=True)
    assert heart["boxes"] == [pytest.approx([51, 50, 151, 90], abs=1e-3)]
    assert heart["quality"] == "wbf 2/2" and heart["reader"] is None
    rec = catalog.entries.filter(task="rec").sort("prompt")
    assert sorted(len(boxes) for boxes in rec["boxes"]) == [1, 1, 2]
    assert set(catalog.entries["task"]) == {"rec", "reg", "report", "findings"}
    assert set(catalog.rejects["code"]) <= {"merged-readers", "unmapped-label"}


@pytest.mark.parametrize("form", ["gz", "csv.zip", "zip", "folder"])
def test_the_master_table_may_be_packed(release, form, read):
    plain, text = read(release), (release / TABLE).read_bytes()
    (release / TABLE).unlink()
    if form == "gz":
        (release / f"{TABLE}.gz").write_bytes(gzip.compress(text))
    elif form == "folder":  # as some tools unpack it
        (release / TABLE).mkdir()
        (release / TABLE / TABLE).write_bytes(text)
    else:
        name = "master_table.zip" if form == "zip" else f"{TABLE}.zip"
        with zipfile.ZipFile(release / name, "w") as archive:
            archive.writestr(TABLE, text)
    packed = read(release)
    assert packed.annotations.drop("file").equals(plain.annotations.drop("file"))
    assert packed.images.drop("file").equals(plain.images.drop("file"))


def test_ids_may_be_numbers_and_lack_the_ending(release, read):
    plain = read(release)
    items = json.loads((release / REPORTS).read_text())
    for item in items:
        item["StudyID"] = int(item["StudyID"])
        item["ImageID"] = item["ImageID"].removesuffix(".png")
    (release / REPORTS).write_text(json.dumps(items))
    text = (release / TABLE).read_text()
    (release / TABLE).write_text(text.replace(".png", ""))
    assert read(release).annotations.equals(plain.annotations)


def test_garbage_is_rejected(release, read):
    ill = finding("Odd.", [[0.1, 0.1, 1.5, 0.2], [10, 20, 30, 40], [0.5, 0.1, 0.4, 0.2], [0.1],
                           "box", [0.1, 0.1, float("nan"), 0.3], [True, 0.1, 0.2, 0.3],
                           [0.0, 0.0, 0.5, 1.001]], labels=[None, "odd"])  # fmt: skip
    tables_of(
        release,
        [study(ONE, ill, "no finding", finding("", spanish=None), finding(7)),
         "no study", {"ImageID": ONE, "findings": {}}, study(ONE), study(None, finding("x")),
         study("unknown.png", finding("x")), study("lost.png", finding("x")),
         study("bad.png", finding("x")), study(ONE, finding(None, spanish=""))],
        [f"100,{ONE},7,400,?,odd,x,train", f"100,{ONE},9,61,M,nodule,x,train",
         f"100,{ONE},,61,M,nodule,x,train", f"100,{ONE},7,61,M,nodule,x,holdout",
         "1,lost.png,7,61,M,nodule,x,test", "1,bad.png,7,61,M,nodule,x,test",
         f"100,{ONE},7,x,,Rib fracture,x,", ",,,,,,,"],
    )  # fmt: skip
    text = (release / REPORTS).read_text()
    items = json.dumps(study(ONE, finding("x")))
    (release / REPORTS).write_text(f"[{items}," + text[1:].replace("NaN", "9e9"))
    (release / "bad.png").write_bytes(b"no image")
    tables = read(release)
    codes = tables.rejects.select("file", "row", "code").rows()
    assert [(row, code) for file, row, code in codes if file == REPORTS] == [
        (2, "unknown-label"),
        *[(2, "bad-value")] * 2, (2, "zero-area-box"), *[(2, "bad-value")] * 4,
        (2, "empty-text"), (2, "empty-text"), (3, "bad-json"), (4, "bad-json"), (5, "empty-text"),
        (6, "bad-id"), (7, "unknown-image"), (8, "missing-image"), (9, "unreadable-image"),
        (10, "empty-text"),
    ]  # fmt: skip
    assert sorted((row, code) for file, row, code in codes if file == TABLE) == [
        (1, "unknown-age"), (1, "unknown-label"), (1, "unknown-sex"), (2, "bad-id"), (3, "bad-id"),
        (4, "bad-value"), (5, "missing-image"), (6, "unreadable-image"), (8, "missing-image"),
    ]  # fmt: skip
    image = tables.images.row(0, named=True)
    assert image["age"] is None and image["sex"] is None
    (region,) = tables.annotations.filter(pl.col("kind") == "region").to_dicts()
    assert region["name"] == "odd" and region["boxes"] == [pytest.approx([0, 0, 100, 100.1])]
    assert tables.annotations.filter(kind="label")["name"].to_list() == ["Fracture"]
    catalog = build_catalog({"padchest-gr": release})
    assert catalog.images.height == 1


def test_missing_files_columns_and_images(release):
    assert SOURCE.check(release) == [REPORTS, TABLE]
    text = (release / TABLE).read_text()
    (release / TABLE).write_text(text.replace("PatientID", "Patient"))
    with pytest.raises(ImaxrayError, match="Expected the column PatientID"):
        SOURCE.check(release)
    (release / TABLE).write_text(text)
    (release / REPORTS).write_text("[]")
    with pytest.raises(ImaxrayError, match="non-empty list of grounded reports"):
        SOURCE.check(release)
    (release / REPORTS).write_text("[{}]")
    with pytest.raises(ImaxrayError, match="Expected the key StudyID"):
        SOURCE.read(release)
    (release / REPORTS).unlink()
    with pytest.raises(ImaxrayError, match="Expected grounded_reports"):
        SOURCE.check(release)


def test_images_still_in_parts_of_a_zip(release):
    for path in release.rglob("*.png"):
        path.unlink()
    for k in (1, 2):
        (release / "Padchest_GR_files" / f"PadChest_GR.zip.{k:03}").write_bytes(b"PK")
    with pytest.raises(ImaxrayError, match="only 2 parts of a zip; join the parts"):
        SOURCE.check(release)


VOCABULARY = {
    "laminar atelectasis": {"Atelectasis"}, "lobar atelectasis": {"Atelectasis"},
    "Total_Atelectasis ": {"Atelectasis"}, "callus rib fracture": {"Fracture"},
    "vertebral fracture": {"Fracture"}, "apical pleural thickening": {"Pleural Thickening"},
    "calcified pleural thickening": {"Pleural Thickening"}, "NSG tube": {"Support Devices"},
    "dual chamber device": {"Support Devices"}, "pacemaker": {"Support Devices"},
    "central venous catheter via jugular vein": {"Support Devices"},
    "loculated fissural effusion": {"Pleural Effusion"},
    "hydropneumothorax": {"Pneumothorax", "Pleural Effusion"},
    "consolidation": {"Consolidation", "Infiltration"}, "interstitial pattern": {"Infiltration"},
    "multiple nodules": {"Nodule"}, "asbestosis signs": {"Fibrosis"},
    "atypical pneumonia": {"Pneumonia"}, "superior mediastinal enlargement":
    {"Enlarged Cardiomediastinum"}, "increased density": {"Lung Opacity"},
}  # fmt: skip


@pytest.mark.parametrize(("label", "findings"), VOCABULARY.items())
def test_a_label_is_all_findings_above_it_in_the_tree(release, read, label, findings):
    tables_of(release, [study(ONE, finding("x", labels=[label]))],
              [f"100,{ONE},7,61,M,{label},x,train"])  # fmt: skip
    tables = read(release)
    labels = tables.annotations.filter(kind="label")
    assert set(labels["name"].cast(pl.String)) == findings and set(labels["value"]) == {1.0}
    assert tables.rejects.is_empty()


@pytest.mark.parametrize(
    ("label", "code"),
    [("goiter", "unmapped-label"), ("hiatal hernia", None), ("scoliosis", "unmapped-label"),
     ("atelektasis", "unknown-label"), ("", "no-label")],
)  # fmt: skip
def test_a_label_that_is_nothing_of_ours_is_counted(release, read, label, code):
    tables_of(release, [study(ONE, finding("x"))], [f"100,{ONE},7,61,M,{label},x,train"])
    assert read(release).rejects["code"].to_list() == ([] if code is None else [code])


def test_a_resolved_finding_is_no_positive(release, read):
    gone = finding("No longer seen.", [[0.1, 0.1, 0.2, 0.2]], labels=["nodule"])
    tables_of(
        release,
        [study(ONE, {**gone, "progression": "resolved"},
               {**gone, "progression": {"progression_status": "Resolved"}}, finding("Mass."))],
        [],
    )  # fmt: skip
    told = (("nodule", "resolved"), ("atelectasis", "worsening"))
    rows = [f"100,{ONE},7,013M,M,{label},x,train,{status}" for label, status in told]
    (release / TABLE).write_text("\n".join([f"{HEADER},progression_status", *rows, ""]))
    tables = read(release)
    assert tables.annotations.filter(kind="label")["name"].to_list() == ["Atelectasis"]
    assert tables.annotations.filter(kind="region").is_empty()
    assert sorted(tables.rejects.select("file", "row", "code").rows()) == [
        *[(REPORTS, 1, "resolved-finding")] * 2, (TABLE, 1, "resolved-finding"),
    ]  # fmt: skip
    assert tables.images["age"].to_list() == [1]


def test_a_resized_jpeg_copy_has_the_ids_of_the_png_files(release, read):
    plain = read(release)
    for path in sorted(release.rglob("*.png")):
        with Image.open(path) as image:
            half = [side // 2 for side in image.size]
        Image.new("L", half).save(path.with_suffix(".jpg"))
        path.unlink()
    copy = read(release)
    assert copy.images["image_id"].equals(plain.images["image_id"])
    assert copy.images["path"].str.ends_with(".jpg").all()
    for whole, small in zip(
        *(t.annotations.filter(pl.col("kind") == "region")["boxes"] for t in (plain, copy)),
        strict=True,
    ):
        assert [[2 * side for side in box] for box in small] == [pytest.approx(b) for b in whole]
