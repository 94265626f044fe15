"""Tests that the table of a release names the patients of images whose paths do not."""

import gzip
import json

import polars as pl
import pytest
from typer.testing import CliRunner

from audit.formats import Query, draw, make_dataset
from imaxray.audit import audit_dataset
from imaxray.audit.reading.patient_table import PatientTable
from imaxray.cli import app
from imaxray.errors import ImaxrayError
from imaxray.export import export_dataset

PADCHEST = "216840111366964013829543166512013338135747880_02-094-102.png"
OTHER = "216840111366964012819207061112010307142602253_04-014-084.png"
HEX = "000434271f63a053c4128a0ba6352c7f"


@pytest.fixture
def files(tmp_path):
    """Two PadChest images in two splits."""
    for seed, (split, image) in enumerate({"train": PADCHEST, "test": OTHER}.items()):
        draw(tmp_path / image, seed)
        row = Query.row(image, "What is shown?", "A chest.")
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(row))
    return tmp_path


def padchest(path, *patients):
    lines = [f"{n},{image},20130516,{p},PA" for n, (image, p) in
             enumerate(zip((PADCHEST, OTHER), patients, strict=True))]  # fmt: skip
    text = "\n".join([",ImageID,StudyDate_DICOM,PatientID,Projection", *lines])
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["padchest.csv", "padchest.csv.gz"])
def test_a_patient_over_splits_is_found_by_the_table_of_the_release(files, name):
    before = audit_dataset(files)
    assert before.issues == ()
    assert "--patients TABLE" in before.limits["patient-over-splits"]
    report = audit_dataset(files, patients=padchest(files / name, "8398", "8398"))
    assert [(i.code, i.split, i.id) for i in report.issues] == [
        ("patient-over-splits", "train+test", "8398")
    ]
    assert "patient-over-splits" not in report.limits


def test_patients_of_one_split_each_are_no_fault(files):
    report = audit_dataset(files, patients=padchest(files / "padchest.csv", "8398", "77"))
    assert report.issues == () and "patient-over-splits" not in report.limits


@pytest.mark.parametrize(
    ("columns", "path", "patient"),
    [
        ({"Image Index": ["00000013_005.png"], "Patient ID": [13]}, "x/00000013_005.png", "13"),
        ({"dicom_id": ["02aa-be"], "subject_id": [10000032]}, "p/02aa-be.jpg", "10000032"),
        ({"image_id": [HEX], "patient": ["p7"]}, f"train/{HEX}.dicom.png", "p7"),
        ({"image_id": [HEX], "patient": ["p7"]}, "train/other.png", None),
        ({"Path": ["a/view1.jpg", "b/view1.jpg"], "patient_id": ["1", "2"]}, "b/view1.jpg", "2"),
        ({"Path": ["a/view1.jpg", "b/view1.jpg"], "patient_id": ["1", "2"]}, "r/a/view1.jpg", "1"),
        ({"Path": ["r/a/view1.jpg", "r/b/view1.jpg"], "patient_id": ["1", "2"]}, "b\\view1.jpg",
         "2"),
        ({"Path": ["a/view1.jpg", "b/view1.jpg"], "patient_id": ["1", "2"]}, "view1.jpg", None),
        ({"Path": ["a.png", None], "patient_id": [None, "2"]}, "a.png", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_an_image_is_found_by_its_name_and_folders(tmp_path, columns, path, patient, suffix):
    table, file = pl.DataFrame(columns), tmp_path / f"table.{suffix}"
    if suffix == "parquet":
        table.write_parquet(file)
    else:
        table.write_csv(file, separator="\t" if suffix == "tsv" else ",")
    assert PatientTable(file).patient_of(path) == patient


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "there is no file; correct --patients"),
        ("image_id,rad_id\nx,R1\n", "one column that names the patient in .* but it has none"),
        ("path,image,patient\nx,y,z\n", "but it has path and image; name one column image_id"),
        (f"image,patient\n{HEX},p1\n", "it names none of these images"),
    ],
)
def test_a_table_without_patients_is_a_sentence(files, table, message):
    path = files / "table.csv"
    if table is not None:
        path.write_text(table)
    with pytest.raises(ImaxrayError, match=message):
        audit_dataset(files, patients=path)


def test_a_damaged_parquet_table_is_a_sentence(files):
    (files / "table.parquet").write_bytes(b"PAR1")
    with pytest.raises(ImaxrayError, match="damaged"):
        audit_dataset([files / "train.jsonl"], patients=files / "table.parquet")


def test_the_record_counts_more_than_the_table(files):
    row = Query.row(PADCHEST, "What is shown?", "A chest.")
    (files / "train.jsonl").write_text(json.dumps({**row, "patient_id": "mine"}))
    table = padchest(files / "padchest.csv", "8398", "8398")
    assert audit_dataset(files, patients=table).issues == ()


@pytest.mark.parametrize("option", ["patients", "patient_field"])
@pytest.mark.parametrize("form", ["imax", "croissant"])
def test_a_dataset_folder_names_its_patients_itself(tmp_path, option, form):
    dataset = make_dataset(tmp_path)
    folder = tmp_path / "data"
    if form == "croissant":
        folder = tmp_path / "croissant"
        export_dataset(dataset, form, folder)
    given = {"patients": tmp_path / "table.csv", "patient_field": "mrn"}
    with pytest.raises(ImaxrayError, match=f"Expected --{option.replace('_', '-')} with files of"):
        audit_dataset(folder, **{option: given[option]})


def test_a_folder_of_other_files_may_have_a_patient_field(files):
    for split in ("train", "test"):
        row = json.loads((files / f"{split}.jsonl").read_text())
        (files / f"{split}.jsonl").write_text(json.dumps({**row, "mrn": 5}))
    result = CliRunner().invoke(app, ["audit", str(files), "--patient-field", "mrn"])
    assert result.exit_code == 1 and "patient-over-splits: 1" in result.output, result.output
