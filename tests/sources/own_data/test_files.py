"""Reads boxes, masks, reports, DICOM folders and tables of other forms as one's own release."""

import importlib.util
import json
import struct

import numpy as np
import polars as pl
import pytest
from PIL import Image

from dicoms import write_dicom
from hospitals import write_image, write_table
from imaxray.errors import ImaxrayError

NOBODY = {"columns": {"patient": "none"}}


@pytest.fixture
def images(tmp_path):
    for k, size in enumerate([(100, 80), (200, 100)], start=1):
        write_image(tmp_path / f"images/p{k}/{k}.png", size=size, seed=k)
    return tmp_path / "images"


def regions(tables):
    found = tables.annotations.filter(kind="region").sort("image_id", "row")
    return [
        (image, str(name), text, boxes)
        for image, name, text, boxes in found.select(
            "image_id", "name", "text", "boxes"
        ).iter_rows()
    ]


def test_coco(images, tmp_path, release):
    content = {
        "images": [
            {"id": 1, "file_name": "1.png", "width": 50, "height": 40},  # half the size of the file
            {"id": 2, "file_name": "p2/2.png", "width": 200, "height": 100},
            {"id": 3, "file_name": "3.png"},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 5, 20, 10]},
            {"id": 2, "image_id": 1, "category_id": 8, "bbox": [0, 0, 5, 5]},
            {"id": 3, "image_id": 9, "category_id": 7, "bbox": [0, 0, 5, 5]},
            {"id": 4, "image_id": 2, "category_id": 9, "bbox": [0, 0, 5, 5]},
        ],
        "categories": [{"id": 7, "name": "effusion"}, {"id": 8, "name": "clip"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    tables = release("boxes.json", **NOBODY)
    assert regions(tables) == [
        ("mine/p1/1.png", "Pleural Effusion", "effusion", [[20.0, 10.0, 60.0, 30.0]]),
        ("mine/p1/1.png", "clip", "clip", [[0.0, 0.0, 10.0, 10.0]]),
    ]
    assert sorted(tables.rejects["code"].to_list()) == [
        "missing-image", "unknown-class", "unknown-image",
    ]  # fmt: skip
    assert {f.file: f.rows for f in tables.files} == {"boxes.json": 7, "source.yaml": 0}


def test_coco_that_can_be_read_in_two_ways_is_not_read_in_one(images, tmp_path, release):
    content = {
        "images": [
            {"id": 1, "file_name": "p1/1.png"},
            {"id": 1, "file_name": "p2/2.png"},  # the annotation may be about either
            {"id": [2], "file_name": "3.png", "width": -5},
            {"file_name": "p2/2.png"},
            {"id": 7, "file_name": "p1/1.png"},
        ],
        "annotations": [
            {"image_id": 1, "category_id": 7, "bbox": [10, 5, 20, 10]},
            {"category_id": 7, "bbox": [10, 5, 20, 10]},
            {"image_id": True, "category_id": 7, "bbox": [10, 5, 20, 10]},
            {"image_id": 7, "category_id": 7, "bbox": [1e400, 5, 20, 10]},
            {"image_id": 7, "category_id": 8, "bbox": [1, 5, 20, 10]},
        ],
        "categories": [
            {"id": [7], "name": "effusion"}, {"id": 7, "name": "clip"}, 5,
            {"id": 8, "name": "clip"}, {"id": 8, "name": "wire"},
        ],
    }  # fmt: skip
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(content).replace("Infinity", "1e300"))
    tables = release("boxes.json", **NOBODY)
    assert regions(tables) == []
    assert sorted(tables.rejects["code"].to_list()) == [
        "bad-value", "bad-value", "unknown-class", "unknown-image", "unknown-image",
        "unknown-image",
    ]  # fmt: skip
    file.write_text('{"images": [], "images": [], "annotations": [], "categories": 5}')
    with pytest.raises(ImaxrayError, match="a key of the item stands there twice"):
        release("boxes.json", **NOBODY)


def test_pascal_voc(images, tmp_path, release):
    one = """<annotation><filename>1.png</filename>
    <size><width>100</width><height>80</height></size>
    <object><name>Mass</name><bndbox><xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>20</ymax>
    </bndbox></object><object><name>Mass</name></object></annotation>"""
    folder = tmp_path / "voc"
    folder.mkdir()
    (folder / "1.xml").write_text(one)
    (folder / "2.xml").write_text("<annotation><filename>2.png</filename></annotation>")
    (folder / "3.xml").write_text("<annotation>")
    tables = release("voc", **NOBODY)
    assert regions(tables) == [("mine/p1/1.png", "Mass", "Mass", [[10.0, 5.0, 30.0, 20.0]])]
    assert sorted(tables.rejects["code"].to_list()) == ["bad-value", "bad-xml"]
    assert tables.images.height == 2


def test_yolo(images, tmp_path, release, asked):
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "1.txt").write_text("1 0.5 0.5 0.2 0.5\n7 0.5 0.5 0.1 0.1\n0 0.5 x 0.1 0.1\n")
    (folder / "2.txt").write_text("")
    assert "names the classes" in asked("labels", **NOBODY)[0]
    (tmp_path / "data.yaml").write_text("names: {0: normal, 1: nodule}\n")
    tables = release("labels", **NOBODY)
    assert regions(tables) == [("mine/p1/1.png", "Nodule", "nodule", [[40.0, 20.0, 60.0, 60.0]])]
    assert sorted(tables.rejects["code"].to_list()) == ["bad-value", "unknown-class"]
    assert tables.images.height == 2


def organ(tmp_path, name, x1, x2, y1, y2, k=1, size=(100, 80)):
    mask = np.zeros(size[::-1], np.uint8)
    mask[y1:y2, x1:x2] = 255
    path = tmp_path / f"masks/{name}/{k}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def test_masks_give_boxes_and_ratios(images, tmp_path, release):
    organ(tmp_path, "heart", 30, 60, 40, 70)
    organ(tmp_path, "left_lung", 55, 95, 10, 70)
    organ(tmp_path, "right_lung", 5, 45, 10, 70)
    organ(tmp_path, "lesion", 10, 20, 20, 30, k=2, size=(200, 100))
    tables = release("masks", **NOBODY)
    assert regions(tables) == [
        ("mine/p1/1.png", "heart", "heart", [[30.0, 40.0, 60.0, 70.0]]),
        ("mine/p1/1.png", "left lung", "left lung", [[55.0, 10.0, 95.0, 70.0]]),
        ("mine/p1/1.png", "right lung", "right lung", [[5.0, 10.0, 45.0, 70.0]]),
        ("mine/p2/2.png", "lesion", "lesion", [[10.0, 20.0, 20.0, 30.0]]),
    ]
    measured = tables.annotations.filter(kind="measurement")
    found = {str(name): value for name, value in measured.select("name", "value").iter_rows()}
    assert found == {"ctr": 30 / 90, "cpar": pytest.approx(900 / 4800)}


@pytest.mark.parametrize("runs", ["rows", "columns"])
def test_run_lengths_in_a_table(images, tmp_path, release, runs, catalog):
    mask = np.zeros((80, 100), bool)
    mask[20:30, 40:60] = True
    flat = mask.ravel() if runs == "rows" else mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(int), [0]])))
    cell = " ".join(f"{a + 1} {b - a}" for a, b in edges.reshape(-1, 2))
    cells = [("1.png", cell, "Pneumothorax"), ("2.png", "-1", "No finding"),
             ("2.png", "9 9 9", "Pneumothorax")]  # fmt: skip
    rows = [dict(zip(("ImageId", "EncodedPixels", "class_name"), c, strict=True)) for c in cells]
    write_table(tmp_path / "rle.csv", rows)
    release("rle.csv", **NOBODY)
    path = tmp_path / "mine/source.yaml"
    path.write_text(path.read_text().replace("format: csv", f"format: csv\n  runs: {runs}"))
    tables = catalog()
    found = tables.annotations.filter(kind="region")["boxes"].to_list()
    assert found == [[[40.0, 20.0, 60.0, 30.0]]]
    assert tables.annotations.filter(kind="label")["name"].cast(str).to_list() == ["No Finding"]
    assert tables.rejects["code"].cast(str).to_list() == ["bad-value"]


def test_a_folder_of_reports_is_joined_by_the_names_of_its_files(images, tmp_path, release):
    write_table(tmp_path / "labels.csv", [
        {"file": "p1/1.png", "patient": "A", "study": "s1"},
        {"file": "p2/2.png", "patient": "B", "study": "s2"},
    ])  # fmt: skip
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "s1.txt").write_text("FINDINGS: Clear lungs.\n\nIMPRESSION: Normal.")
    (folder / "s9.txt").write_text("FINDINGS: Nobody's.")
    (folder / "s2.txt").write_bytes(b"\xff\xfe\xff")
    tables = release("labels.csv", "reports")
    facts = tables.annotations.select("image_id", pl.col("name").cast(str), "text")
    assert facts.rows() == [
        ("mine/p1/1.png", "findings", "Clear lungs."),
        ("mine/p1/1.png", "impression", "Normal."),
    ]
    assert sorted(tables.rejects["code"].cast(str).to_list()) == ["bad-encoding", "unknown-key"]


def test_dicom_tags_give_patient_view_age_sex_and_date(tmp_path, release):
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    about = {"PatientID": "0042", "ViewPosition": "PA", "PatientSex": "F", "PatientAge": "064Y"}
    write_dicom(tmp_path / "scans/a/1.dcm", grey, SOPInstanceUID="1.1", StudyDate="20240131",
                StudyInstanceUID="9.1", **about)  # fmt: skip
    write_dicom(tmp_path / "scans/a/2.dcm", grey, SOPInstanceUID="1.2", ViewPosition="LL",
                StudyInstanceUID="9.1", PatientID="0042")  # fmt: skip
    write_dicom(tmp_path / "scans/b/3.dcm", Modality="SR")
    write_table(tmp_path / "labels.csv", [
        {"StudyUID": "9.1", "effusion": "1", "edema": "0"},
        {"StudyUID": "9.7", "effusion": "0", "edema": "0"},
    ])  # fmt: skip
    tables = release("labels.csv", images="scans")
    rows = tables.images.select("image_id", "patient_id", "study_id", "view", "sex", "age").rows()
    assert rows == [
        ("mine/a/1.dcm", "mine/0042", "mine/9.1", "PA", "F", 64),
        ("mine/a/2.dcm", "mine/0042", "mine/9.1", "LL", None, None),
    ]
    # labels of a study of two images belong to the frontal one
    facts = tables.annotations.select("image_id", pl.col("name").cast(str), "value").rows()
    assert facts == [("mine/a/1.dcm", "Pleural Effusion", 1.0), ("mine/a/1.dcm", "Edema", 0.0)]
    assert sorted(tables.rejects["code"].cast(str).to_list()) == ["no-pixels", "unknown-key"]


TABLE = [
    {"image": "1.png", "patient": "01", "effusion": "1", "age": "40", "date": "2024-01-31"},
    {"image": "2.png", "patient": "02", "effusion": "0", "age": "50", "date": "2024-02-01"},
]


def facts_of(tables):
    return tables.images.select("patient_id", "study_id", "age").rows(), tables.annotations.select(
        "image_id", pl.col("name").cast(str), "value"
    ).rows()


@pytest.mark.parametrize("form", ["tsv", "csv.gz", "parquet", "jsonl", "xlsx"])
def test_every_form_of_table_says_the_same(images, tmp_path, release, form):
    frame = pl.DataFrame(TABLE)
    path = tmp_path / f"t.{form}"
    if form == "tsv":
        frame.write_csv(path, separator="\t")
    elif form == "csv.gz":
        import gzip

        path.write_bytes(gzip.compress(frame.write_csv().encode()))
    elif form == "jsonl":
        frame.with_columns(pl.col("age").cast(int)).write_ndjson(path)
    elif form == "parquet":
        typed = frame.with_columns(pl.col("date").str.to_datetime(), pl.col("age").cast(float))
        typed.write_parquet(path)
    else:
        if importlib.util.find_spec("fastexcel") is None:
            path.write_bytes(b"PK")
            with pytest.raises(ImaxrayError, match=r"imaxray\[excel\]"):
                release(path.name)
            pytest.skip("fastexcel is not installed, as the error says")
        if importlib.util.find_spec("xlsxwriter") is None:
            pytest.skip("xlsxwriter is not installed, so no Excel file can be made")
        frame.with_columns(pl.col("date").str.to_date()).write_excel(path)
    assert facts_of(release(path.name)) == (
        [("mine/01", "mine/01 2024-01-31", 40), ("mine/02", "mine/02 2024-02-01", 50)],
        [("mine/p1/1.png", "Pleural Effusion", 1.0), ("mine/p2/2.png", "Pleural Effusion", 0.0)],
    )


@pytest.mark.parametrize("value", [-1, 0.5, np.nan, np.inf])
def test_a_nifti_mask_with_numbers_of_no_class_is_a_reject(images, tmp_path, release, value):
    nibabel = pytest.importorskip("nibabel")
    folder = tmp_path / "masks/heart"
    folder.mkdir(parents=True)
    for name, odd in (("1", 1), ("2", value)):
        mask = np.zeros((100, 80))
        mask[10:20, 10:20], mask[15, 15] = 1, odd
        nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), folder / f"{name}.nii")
    tables = release("masks", **NOBODY)
    assert tables.rejects["code"].to_list() == ["bad-mask"]
    assert [region[0] for region in regions(tables)] == ["mine/p1/1.png"]


def test_a_nifti_header_that_states_more_pixels_than_an_image_may_have_is_not_believed(
    images, tmp_path, release
):
    nibabel = pytest.importorskip("nibabel")
    folder = tmp_path / "masks/heart"
    folder.mkdir(parents=True)
    for name in ("1", "2"):
        mask = np.ones((100, 80), np.uint8)
        nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), folder / f"{name}.nii")
    damaged = bytearray((folder / "2.nii").read_bytes())
    damaged[42:46] = struct.pack("<hh", 32767, 32767)
    (folder / "2.nii").write_bytes(damaged)
    assert release("masks", **NOBODY).rejects["code"].to_list() == ["bad-mask"]


def test_a_nifti_mask_needs_its_package(images, tmp_path, release):
    folder = tmp_path / "masks/lesion"
    folder.mkdir(parents=True)
    if importlib.util.find_spec("nibabel") is None:
        (folder / "1.nii").write_bytes(b"x")
        with pytest.raises(ImaxrayError, match=r"imaxray\[nifti\]"):
            release("masks", **NOBODY)
        return
    import nibabel

    mask = np.zeros((100, 80, 1), np.uint8)  # NIfTI counts columns first
    mask[10:20, 30:50] = 1
    nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), folder / "1.nii.gz")
    assert regions(release("masks", **NOBODY))[0][3] == [[10.0, 30.0, 20.0, 50.0]]
