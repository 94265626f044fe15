"""Tests CheXpert Plus: reports, labels of CheXbert and their faults."""

import csv
import gzip
import json
import random

import polars as pl
import pytest
from PIL import Image

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.schema import CHEXPERT
from imaxray.sources import get_source

SOURCE = get_source("chexpert-plus")

TABLE = "df_chexpert_plus_240401.csv"
HEADER = ["path_to_image", "path_to_dcm", "frontal_lateral", "ap_pa", "deid_patient_id",
          "patient_report_date_order", "report", "section_narrative", "section_findings",
          "section_impression", "age", "sex", "split"]  # fmt: skip
FIRST = "train/patient00001/study1/view1_frontal"
STUDY = "chexpert/patient00001/study1"
IMPRESSION = "1. Small effusion.\n\n 2.  No pneumothorax."


def row(key, **cells):
    values = {"path_to_image": f"{key}.jpg", "path_to_dcm": f"{key}.dcm",
              "frontal_lateral": "Lateral" if key.endswith("lateral") else "Frontal",
              "ap_pa": "" if key.endswith("lateral") else "AP", "report": "whole",
              "age": "41.0", "sex": "Male", "split": key.split("/")[0]}  # fmt: skip
    return dict.fromkeys(HEADER, "") | values | cells


def write(root, rows, header=HEADER):
    with (root / TABLE).open("w", newline="") as stream:
        table = csv.DictWriter(stream, header, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)


def labels(key, **values):
    stated = {name.replace("_", " "): value for name, value in values.items()}
    return {"path_to_image": f"{key}.jpg"} | dict.fromkeys(CHEXPERT) | stated


def write_labels(root, lines, text="report"):
    path = root / "chexbert_labels" / f"{text}_fixed.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(
        (item if isinstance(item, str) else json.dumps(item)) + "\n" for item in lines
    ))  # fmt: skip
    return path


def image(root, key, folder="", suffix=".png"):
    path = root / folder / f"{key}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (9, 8)).save(path)


@pytest.fixture
def release(tmp_path):
    """A study with two images, one without findings, a validation study without an image."""
    lateral, other = FIRST.replace("view1_frontal", "view2_lateral"), "train/patient00002/study3"
    shared = {"section_findings": "Left effusion.", "section_impression": IMPRESSION}
    write(tmp_path, [
        row(FIRST, **shared),
        row(lateral, **shared),
        row(f"{other}/view1_frontal", section_impression="Normal.", ap_pa="PA", sex="Unknown"),
        row("valid/patient64541/study1/view1_frontal", section_impression="Edema.", age="x"),
    ])  # fmt: skip
    effusion = {"Pleural_Effusion": 1.0, "Pneumothorax": 0.0, "Edema": -1.0}
    write_labels(tmp_path, [
        labels(FIRST, **effusion),
        labels(lateral, **effusion),
        labels(f"{other}/view1_frontal", No_Finding=1),
        labels("valid/patient64541/study1/view1_frontal"),
    ])  # fmt: skip
    for key in (FIRST, lateral, f"{other}/view1_frontal"):
        image(tmp_path, key, "PNG")
    return tmp_path


def test_images_and_splits(release, read):
    tables = read(release)
    assert SOURCE.check(release) == [
        TABLE, "chexbert_labels/report_fixed.json",
    ]  # fmt: skip
    shown = tables.images.select("image_id", "study_id", "path", "width", "view", "sex", "age")
    lateral = FIRST.replace("view1_frontal", "view2_lateral")
    assert shown.rows() == [
        (f"chexpert/{FIRST}", STUDY, f"PNG/{FIRST}.png", 9, "AP", "M", 41),
        (f"chexpert/{lateral}", STUDY, f"PNG/{lateral}.png", 9, "LATERAL", "M", 41),
        ("chexpert/train/patient00002/study3/view1_frontal", "chexpert/patient00002/study3",
         "PNG/train/patient00002/study3/view1_frontal.png", 9, "PA", None, 41),
    ]  # fmt: skip
    assert tables.hints["split"].to_list() == ["train", "train", "train", "val"]


def test_reports_are_the_studys(release, read):
    reports = read(release).annotations.filter(pl.col("kind") == "report")
    assert reports.select("study_id", "name", "text", "raw", "row").rows() == [
        (STUDY, "findings", "Left effusion.", None, 1),
        (STUDY, "impression", "1. Small effusion. 2. No pneumothorax.", IMPRESSION, 1),
        ("chexpert/patient00002/study3", "impression", "Normal.", None, 3),
        ("chexpert/patient64541/study1", "impression", "Edema.", None, 4),
    ]
    assert set(reports.select("image_id", "origin").rows()) == {(None, "human")}


def test_chexbert_labels_and_what_they_leave(release, read):
    tables = read(release)
    found = tables.annotations.filter(pl.col("kind") == "label")
    assert found.select("study_id", "name", "value", "row").rows() == [
        (STUDY, "Edema", -1.0, 1),
        (STUDY, "Pleural Effusion", 1.0, 1),
        (STUDY, "Pneumothorax", 0.0, 1),
        ("chexpert/patient00002/study3", "No Finding", 1.0, 3),
    ]
    assert set(found.select("origin", "quality").rows()) == {("silver", "chexbert")}
    assert sorted(tables.rejects.select("file", "row", "code").rows()) == [
        ("chexbert_labels/report_fixed.json", 2, "duplicate-annotation"),
        ("chexbert_labels/report_fixed.json", 4, "no-label"),
        (TABLE, 4, "missing-image"),
    ]


def test_without_labels_and_gzipped(release, read):
    before = read(release)
    (release / "chexbert_labels/report_fixed.json").unlink()
    (release / f"{TABLE}.gz").write_bytes(gzip.compress((release / TABLE).read_bytes()))
    (release / TABLE).unlink()
    after = read(release)
    reports = before.annotations.filter(pl.col("kind") == "report")
    assert after.annotations.drop("file").equals(reports.drop("file"))
    assert [file.file for file in after.files] == [f"{TABLE}.gz"]


def test_labels_of_an_empty_text_are_rejects(release, read):
    """CheXbert calls a study without findings normal."""
    (release / "chexbert_labels/report_fixed.json").unlink()
    other = "train/patient00002/study3/view1_frontal"
    write_labels(release, [labels(FIRST, Edema=1.0), labels(other, No_Finding=1.0)], "findings")
    tables = read(release)
    found = tables.annotations.filter(pl.col("kind") == "label")
    assert found.select("study_id", "name").rows() == [(STUDY, "Edema")]
    bad = tables.rejects.filter(pl.col("file") == "chexbert_labels/findings_fixed.json")
    assert bad.select("row", "key", "code").rows() == [(2, f"chexpert/{other}", "empty-text")]


def test_the_images_of_chexpert_carry_the_reports(release, tmp_path):
    """Most copies of Plus hold the texts only; CheXpert 1.0 has the images of the same ids."""
    images = tmp_path / "chexpert"
    image(images, FIRST, suffix=".jpg")
    head = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT]
    line = [f"CheXpert-v1.0-small/{FIRST}.jpg", "Male", "41", "Frontal", "AP", "1.0", *[""] * 13]
    for name in ("train", "valid"):
        (images / f"{name}.csv").write_text(f"{','.join(head)}\n{','.join(line)}\n")
    for key in sorted((release / "PNG").rglob("*.png")):
        key.unlink()
    catalog = build_catalog({"chexpert": images, "chexpert-plus": release})
    facts = catalog.annotations.select("image_id", "kind", "name", "source").rows()
    assert (f"chexpert/{FIRST}", "report", "findings", "chexpert-plus") in facts
    assert (f"chexpert/{FIRST}", "label", "Atelectasis", "chexpert") in facts
    assert {i for i, *_ in facts} == {f"chexpert/{FIRST}"}


def test_garbage_is_rejects(release, read):
    other = "train/patient00002/study3/view1_frontal"
    write(release, [
        row(FIRST, split="odd", section_impression=" \n "),
        row("../x"),
        row(other, section_findings="Clear.", report=""),
        {"path_to_image": "short"},
        row(FIRST, section_findings="Another text."),
    ])  # fmt: skip
    path = write_labels(release, [
        labels(FIRST, Edema=True, Fracture=[1], Pneumonia={"a": 1}, Pneumothorax=2),
        "[1, 2]",
        "{no json",
        labels("../x", Edema=1),
        labels("train/patient00077/study1/view1_frontal", Edema=1),
        labels(other, Edema=1),
        {"path_to_image": [FIRST], "Edema": 1},
        {"path_to_image": f"{FIRST}.jpg", "Edema": "-1.0", "Fracture": 10**30},
        '{"path_to_image": "' + FIRST + '.jpg", "Edema": 1e999}',
        "[" * 2000,
    ])  # fmt: skip
    path.write_bytes(path.read_bytes() + b"\n\xff\xfe\n")
    tables = read(release)
    codes = tables.rejects.select("file", "row", "code").rows()
    file = "chexbert_labels/report_fixed.json"
    assert sorted(codes) == sorted([
        (TABLE, 1, "bad-value"), (TABLE, 1, "empty-text"), (TABLE, 2, "path-outside-release"),
        (TABLE, 4, "bad-id"),
        *[(file, 1, "unknown-label")] * 4, (file, 2, "bad-json"), (file, 3, "bad-json"),
        (file, 4, "path-outside-release"), (file, 5, "unknown-image"), (file, 6, "empty-text"),
        (file, 7, "bad-id"), (file, 8, "unknown-label"), (file, 9, "bad-json"),
        (file, 10, "bad-json"), (file, 11, "bad-json"),
    ])  # fmt: skip
    facts = tables.annotations.select("name", "value", "text", "row").rows()
    assert facts == [
        ("findings", None, "Clear.", 3), ("findings", None, "Another text.", 5),
        ("Edema", -1.0, None, 8),
    ]  # fmt: skip


def test_missing_files_columns_and_rows(release):
    path = release / "chexbert_labels/report_fixed.json"
    for text in ("", "[]", '[{"path_to_image": "x"}]', '{"path_to_image": "x"}'):
        path.write_text(text)
        with pytest.raises(ImaxrayError, match="Expected JSON lines with"):
            SOURCE.check(release)
    write_labels(release, [labels(FIRST)])
    write(release, [row(FIRST)], [name for name in HEADER if name != "report"])
    with pytest.raises(ImaxrayError, match="Expected the column report"):
        SOURCE.check(release)
    write(release, [row(FIRST)], [name for name in HEADER if name != "section_impression"])
    with pytest.raises(ImaxrayError, match="Expected the column section_impression"):
        SOURCE.check(release)
    write(release, [])
    with pytest.raises(ImaxrayError, match="at least one data row"):
        SOURCE.read(release)
    (release / TABLE).unlink()
    with pytest.raises(ImaxrayError, match="Expected df_chexpert_plus"):
        SOURCE.check(release)


def test_damaged_bytes_are_rejects_or_one_sentence(release, read):
    paths = (release / TABLE, release / "chexbert_labels/report_fixed.json")
    whole = {path: path.read_bytes() for path in paths}
    rng = random.Random(0)
    outcomes = set()
    for trial in range(80):
        for path, content in whole.items():
            data = bytearray(content[: rng.randrange(len(content))] if trial % 4 == 0 else content)
            for _ in range(rng.randrange(6)):
                if data:
                    k = rng.randrange(len(data))
                    data[k] = rng.choice(b'",\n\r\x00\xff{}') if k % 2 else rng.randrange(256)
            path.write_bytes(bytes(data))
        try:
            read(release)
            outcomes.add("read")
        except ImaxrayError:
            outcomes.add("error")
    assert outcomes == {"read", "error"}
