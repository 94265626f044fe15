"""Tests CheXpert 1.0: ids, images, labels and their faults."""

import gzip
import shutil

import polars as pl
import pytest
from PIL import Image

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.schema import CHEXPERT
from imaxray.sources import get_source

SOURCE = get_source("chexpert")

# the release's own order, not the alphabet's
ORDER = ["No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion",
         "Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion",
         "Pleural Other", "Fracture", "Support Devices"]  # fmt: skip
HEADER = ",".join(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *ORDER])


def line(path, sex="Female", age="68", side="Frontal", projection="AP", **labels):
    cells = [labels.get(name.replace(" ", "_"), "") for name in ORDER]
    return ",".join([path, sex, age, side, projection, *cells])


def image(root, key, size=(9, 8), suffix=".jpg"):
    path = root / f"{key}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size).save(path)
    return path


def write(root, name, lines):
    (root / f"{name}.csv").write_text("\n".join([HEADER, *lines]) + "\n")


@pytest.fixture
def release(tmp_path):
    """Two studies of one patient, one of another, and a validation study."""
    small = "CheXpert-v1.0-small/"
    first, second = "train/patient00001/study1/view1_frontal", "train/patient00002/study1"
    opacity = {"Lung_Opacity": "1.0", "Edema": "-1.0", "Fracture": "0.0"}
    lines = [
        line(f"{small}{first}.jpg", No_Finding="1.0", Support_Devices="1.0"),
        line(f"{small}{second}/view1_frontal.jpg", "Male", "87", projection="PA", **opacity),
        line(f"{small}{second}/view2_lateral.jpg", "Male", "87", "Lateral", "", **opacity),
        line(f"{small}train/patient00001/study2/view1_frontal.jpg", "Unknown", "0", "Frontal",
             "LL", Pneumonia="0.0"),
    ]  # fmt: skip
    write(tmp_path, "train", lines)
    valid = dict.fromkeys((n.replace(" ", "_") for n in ORDER), "0.0") | {"Cardiomegaly": "1.0"}
    write(tmp_path, "valid",
          [line(f"{small}valid/patient64541/study1/view1_frontal.jpg", "Male", "73", **valid)],
    )  # fmt: skip
    for key in (first, f"{second}/view1_frontal", f"{second}/view2_lateral",
                "train/patient00001/study2/view1_frontal",
                "valid/patient64541/study1/view1_frontal"):  # fmt: skip
        image(tmp_path, key)
    return tmp_path


def test_images(release, read):
    tables = read(release)
    rows = tables.images.drop("source", "file", "row").rows()
    assert rows == [
        ("chexpert/train/patient00001/study1/view1_frontal", "chexpert/patient00001",
         "chexpert/patient00001/study1", None, "train/patient00001/study1/view1_frontal.jpg",
         9, 8, "AP", "F", 68),
        ("chexpert/train/patient00002/study1/view1_frontal", "chexpert/patient00002",
         "chexpert/patient00002/study1", None, "train/patient00002/study1/view1_frontal.jpg",
         9, 8, "PA", "M", 87),
        ("chexpert/train/patient00002/study1/view2_lateral", "chexpert/patient00002",
         "chexpert/patient00002/study1", None, "train/patient00002/study1/view2_lateral.jpg",
         9, 8, "LATERAL", "M", 87),
        ("chexpert/train/patient00001/study2/view1_frontal", "chexpert/patient00001",
         "chexpert/patient00001/study2", None, "train/patient00001/study2/view1_frontal.jpg",
         9, 8, "LL", None, 0),
        ("chexpert/valid/patient64541/study1/view1_frontal", "chexpert/patient64541",
         "chexpert/patient64541/study1", None, "valid/patient64541/study1/view1_frontal.jpg",
         9, 8, "AP", "M", 73),
    ]  # fmt: skip
    assert tables.hints["split"].to_list() == ["train"] * 4 + ["val"]
    assert tables.hints["image_id"].to_list() == tables.images["image_id"].to_list()
    assert tables.rejects.is_empty()


def test_labels_are_the_studys_and_stated_once(release, read):
    facts = read(release).annotations
    assert facts["image_id"].null_count() == facts.height
    train = facts.filter(pl.col("file") == "train.csv")
    assert train.select("study_id", "name", "value", "row").rows() == [
        ("chexpert/patient00001/study1", "No Finding", 1.0, 1),
        ("chexpert/patient00001/study1", "Support Devices", 1.0, 1),
        ("chexpert/patient00002/study1", "Edema", -1.0, 2),
        ("chexpert/patient00002/study1", "Fracture", 0.0, 2),
        ("chexpert/patient00002/study1", "Lung Opacity", 1.0, 2),
        ("chexpert/patient00001/study2", "Pneumonia", 0.0, 4),
    ]
    assert set(train.select("origin", "quality").rows()) == {("silver", "chexpert")}
    valid = facts.filter(pl.col("file") == "valid.csv")
    assert dict(valid.select("name", "value").rows()) == (
        dict.fromkeys(CHEXPERT, 0.0) | {"Cardiomegaly": 1.0}
    )
    assert set(valid.select("origin", "quality").rows()) == {("human", "radiologists")}


def test_the_catalog_gives_them_to_frontal_images(release):
    catalog = build_catalog({"chexpert": release})
    labelled = set(catalog.annotations["image_id"])
    assert labelled == {
        "chexpert/train/patient00001/study1/view1_frontal",
        "chexpert/train/patient00002/study1/view1_frontal",
        "chexpert/valid/patient64541/study1/view1_frontal",
    }
    # a decubitus image alone carries no facts of its study
    assert set(catalog.rejects["code"]) == {"no-frontal-image"}


def test_the_full_size_download_and_gzip_do_as_well(release, tmp_path, read):
    small = read(release)
    for name in ("train", "valid"):
        path = release / f"{name}.csv"
        text = path.read_text().replace("CheXpert-v1.0-small/", "CheXpert-v1.0/")
        path.with_name(f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
        path.unlink()
    for name in ("train", "valid"):
        (release / "CheXpert-v1.0").mkdir(exist_ok=True)
        (release / name).rename(release / "CheXpert-v1.0" / name)
    full = read(release)
    assert full.annotations.drop("file").equals(small.annotations.drop("file"))
    assert full.images.drop("file", "path").equals(small.images.drop("file", "path"))
    assert full.images["path"][0].startswith("CheXpert-v1.0/train/patient00001/")


def test_garbage_rows_are_rejects(release, read):
    good = "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"
    (release / "train/patient00009/study1").mkdir(parents=True)
    (release / "train/patient00009/study1/view1_frontal.jpg").write_text("no image")
    lines = [
        line(good, age="400", sex="?", projection="odd", Edema="1"),
        line("../train/patient00001/study1/view1_frontal.jpg", Edema="1"),
        line("/etc/passwd"),
        line("train/patient00001/view1_frontal.jpg"),
        line(""),
        line("train/patient00001/study7/view1_frontal.jpg", Edema="0"),
        line("train/patient00009/study1/view1_frontal.jpg"),
        line("train/patient00002/study1/view1_frontal.jpg", Edema="2", Fracture="yes",
             Pneumonia="nan", Pneumothorax="-1"),
        line(f"train/patient{'9' * 400}/study1/view1_frontal.jpg"),
        "\x00,inf" + "9" * 400,
    ]  # fmt: skip
    write(release, "train", lines)
    tables = read(release)
    codes = tables.rejects.filter(pl.col("file") == "train.csv").select("row", "code").rows()
    assert sorted(codes) == [
        *[(1, f"unknown-{what}") for what in ("age", "sex", "view")],
        (2, "path-outside-release"), (3, "path-outside-release"), (4, "bad-id"), (5, "bad-id"),
        (6, "missing-image"), (7, "unreadable-image"), *[(8, "unknown-label")] * 3, (9, "bad-id"),
        (10, "ragged-row"),
    ]  # fmt: skip
    first = tables.images.row(0, named=True)
    assert first["view"] is None and first["age"] is None and first["sex"] is None
    facts = tables.annotations.filter(pl.col("file") == "train.csv")
    # the labels of a study outlive a missing image: another release may have it
    assert facts.select("row", "name", "value").rows() == [
        (1, "Edema", 1.0), (6, "Edema", 0.0), (8, "Pneumothorax", -1.0),
    ]  # fmt: skip


def test_missing_files_columns_and_rows(release):
    assert SOURCE.check(release) == ["train.csv", "valid.csv"]
    path = release / "valid.csv"
    text = path.read_text()
    path.write_text(text.replace("Pleural Other", "Pleura"))
    with pytest.raises(ImaxrayError, match="Expected the column Pleural Other"):
        SOURCE.check(release)
    path.write_text(text.splitlines()[0] + "\n")
    with pytest.raises(ImaxrayError, match="at least one data row"):
        SOURCE.read(release)
    path.unlink()
    with pytest.raises(ImaxrayError, match=r"Expected valid\.csv or valid\.csv\.gz"):
        SOURCE.check(release)


def said(tables):
    """Labels of each study and the split of each row, without the files that state them."""
    facts = tables.annotations.select("study_id", "name", "value", "origin", "quality").rows()
    return sorted(facts), sorted(tables.hints.select("image_id", "study_id", "split").rows(),
                                 key=repr)  # fmt: skip


def test_the_batches_of_the_full_size_download(small_releases, read):
    variants = small_releases("chexpert")
    small, full = read(variants["write"]), read(variants["write_batches"])
    assert said(full) == said(small)
    assert full.rejects.is_empty()
    ids = ["image_id", "view", "width", "sex", "age"]
    assert full.images.select(ids).rows() == small.images.select(ids).rows()
    assert full.images["path"].to_list() == [
        "CheXpert-v1.0 batch 2 (train 1)/patient00001/study1/view1_frontal.jpg",
        "CheXpert-v1.0 batch 2 (train 1)/patient00001/study2/view1_frontal.jpg",
        "CheXpert-v1.0 batch 3 (train 2)/patient00002/study1/view1_frontal.jpg",
        "CheXpert-v1.0 batch 3 (train 2)/patient00002/study1/view2_lateral.jpg",
        "CheXpert-v1.0 batch 1 (validate & csv)/valid/patient64541/study1/view1_frontal.jpg",
    ]


@pytest.mark.parametrize("inside", ["{batch}", "CheXpert-v1.0/train", "train"])
def test_a_batch_may_be_unpacked_into_a_folder_of_its_name(inside, small_releases, tmp_path, read):
    release = shutil.copytree(small_releases("chexpert")["write_batches"], tmp_path / "chexpert")
    for batch in sorted(release.glob("*(train *)")):
        patients = sorted(batch.iterdir())
        target = batch / inside.format(batch=batch.name)
        target.mkdir(parents=True)
        for patient in patients:
            patient.rename(target / patient.name)
    tables = read(release)
    assert tables.images.height == 5 and tables.rejects.is_empty()


def test_the_tables_may_lie_in_the_folder_of_the_zip(release, tmp_path, read):
    outer = tmp_path / "outer"
    outer.mkdir()
    names = ["train", "valid", "train.csv", "valid.csv"]
    (outer / "CheXpert-v1.0-small").mkdir()
    for name in names:
        (release / name).rename(outer / "CheXpert-v1.0-small" / name)
    tables = read(outer)
    assert tables.images.height == 5 and tables.rejects.is_empty()


def test_labels_of_the_test_set_by_image(small_releases, read):
    root = small_releases("chexpert")["write_test_images"]
    tables = read(root)
    test = tables.images.filter(pl.col("file") == "test_labels.csv")
    assert test.select("image_id", "patient_id", "study_id", "view", "sex", "age").rows() == [
        ("chexpert/test/patient64741/study1/view1_frontal", "chexpert/patient64741",
         "chexpert/patient64741/study1", "FRONTAL", None, None),
        ("chexpert/test/patient64741/study1/view2_lateral", "chexpert/patient64741",
         "chexpert/patient64741/study1", "LATERAL", None, None),
        ("chexpert/test/patient64742/study1/view1_frontal", "chexpert/patient64742",
         "chexpert/patient64742/study1", "FRONTAL", None, None),
    ]  # fmt: skip
    facts = tables.annotations.filter(pl.col("file") == "test_labels.csv")
    assert facts.height == 2 * 14
    assert set(facts.select("origin", "quality").rows()) == {("human", "radiologists")}
    assert set(facts.filter(pl.col("value") == 1)["name"]) == {"No Finding"}
    catalog = build_catalog({"chexpert": root})
    splits = dict(catalog.images.select("patient_id", "split").rows())
    assert splits["chexpert/patient64741"] == splits["chexpert/patient64742"] == "test"


def test_labels_of_the_test_set_by_study(small_releases, tmp_path, read):
    variants = small_releases("chexpert")
    by_image, by_study = (read(variants[f"write_test_{x}"]) for x in ("images", "studies"))
    assert SOURCE.check(variants["write_test_studies"]) == ["groundtruth.csv"]
    columns = ["image_id", "patient_id", "study_id", "view", "width"]
    test = by_image.images.filter(pl.col("file") == "test_labels.csv")
    assert by_study.images.select(columns).rows() == test.select(columns).rows()
    stated = by_image.annotations.filter(pl.col("file") == "test_labels.csv")
    columns = ["study_id", "name", "value", "quality"]
    assert sorted(by_study.annotations.select(columns).rows()) == sorted(
        stated.select(columns).rows()
    )
    assert by_study.hints.select("study_id", "split").rows() == [
        ("chexpert/patient64741/study1", "test"), ("chexpert/patient64742/study1", "test"),
    ]  # fmt: skip
    # of two forms the one with images is read, and the other one is named
    both = shutil.copytree(variants["write_test_images"], tmp_path / "both")
    shutil.copy(variants["write_test_studies"] / "groundtruth.csv", both)
    assert read(both).annotations.equals(by_image.annotations)
    assert SOURCE.remarks(both) == [
        "Not read, because test_labels.csv lists the images too: groundtruth.csv."
    ]
    assert SOURCE.remarks(variants["write_test_studies"]) == []


def test_bad_rows_of_the_table_of_studies_are_rejects(small_releases, tmp_path, read):
    root = shutil.copytree(small_releases("chexpert")["write_test_studies"], tmp_path / "studies")
    zeros = ",".join(["0"] * 14)
    rows = [f"CheXpert-v1.0/test/patient9/study1,{zeros}", f"../test/patient64741/study1,{zeros}",
            f"CheXpert-v1.0/test/patient64741,{zeros}", f",{zeros}",
            f"test/patient64742/study1/,7{zeros[1:]}"]  # fmt: skip
    path = root / "groundtruth.csv"
    path.write_text(path.read_text() + "\n".join(rows) + "\n")
    (root / "CheXpert-v1.0/test/patient64741/study1/notes_frontal.jpg").write_bytes(b"x")
    tables = read(root)
    assert sorted(tables.rejects.select("row", "code").rows()) == [
        (3, "missing-image"), (4, "path-outside-release"), (5, "bad-id"), (6, "bad-id"),
        (7, "unknown-label"),
    ]  # fmt: skip
    assert tables.images.height == 3


def test_chexlocalize_calls_the_validation_set_val(release, tmp_path, read):
    whole = read(release)
    (release / "CheXpert").mkdir()
    (release / "valid").rename(release / "CheXpert" / "val")
    (release / "valid.csv").rename(release / "CheXpert" / "val_labels.csv")
    tables = read(release)
    assert tables.images.drop("path", "file").equals(whole.images.drop("path", "file"))
    assert tables.images["path"][-1].startswith("CheXpert/val/patient64541/")
