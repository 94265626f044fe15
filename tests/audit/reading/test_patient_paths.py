"""Tests that paths of releases name the patients that our readers name, and no others."""

import json

import pytest

from imaxray.audit import audit_dataset
from imaxray.audit.reading.patient_paths import patient_of

HEX = "000434271f63a053c4128a0ba6352c7f"
PADCHEST = "216840111366964013829543166512013338135747880_02-094-102.png"
STUDY = "20536686640136348236148679891455886468"


@pytest.mark.parametrize(
    ("path", "patient", "unsure"),
    [
        ("files/p10/p10000032/s50414267/02aa804e-bde0afdd-112c0b34-7bc16630-4e384014.dcm",
         "mimic-cxr/10000032", False),
        ("mimic\\p10\\p10000032\\s50414267\\view.jpg", "mimic-cxr/10000032", False),
        ("CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg",
         "chexpert/patient00001", False),
        ("CheXpert-v1.0 batch 2 (train 1)/patient12345/study2/view1_frontal.jpg",
         "chexpert/patient12345", False),
        ("00000013_005.png", "nih-chestxray14/13", False),
        ("images_004/images/00030805_000.png", "nih-chestxray14/30805", False),
        ("nih/00010000_012.jpg", "nih-chestxray14/10000", False),
        (f"images/{STUDY}_k6ga29.png", f"padchest/study-{STUDY}", True),
        (f"images/{PADCHEST}", None, True),
        (f"train/{HEX}.dicom", None, True),
        (f"train/{HEX}.png", None, True),
        ("stage_2_train_images/0004cfab-14fd-4e49-80ba-63a80b6bddd6.dcm", None, True),
        ("02aa804e-bde0afdd-112c0b34-7bc16630-4e384014.jpg", None, True),
        ("CXR2384_IM-0942/0.png", "open-i/CXR2384", True),
        ("images_normalized/CXR1_1_IM-0001-3001.png", "open-i/CXR1", True),
        ("a.png", None, False),
        ("images/x/000013_005.png", None, False),  # fewer digits than NIH writes
        ("study/100000013_005.png", None, False),  # and more
        ("patients/patient1/a.png", None, False),
        ("p10/p1000003/s5/a.png", None, False),
        (f"{HEX}/a.png", None, False),
    ],
)  # fmt: skip
def test_what_a_path_says_about_the_patient(path, patient, unsure):
    told = patient_of(path)
    assert (told.patient, told.unsure) == (patient, unsure)


def test_ids_are_those_of_our_readers(open_cxr, tmp_path):
    """The path of an image gives the id that the reader of its release gives."""
    from imaxray.sources import get_source

    tables = get_source("nih-chestxray14").read(open_cxr / "nih-chestxray14")
    rows = tables.images.select("path", "patient_id").rows()
    assert len(rows) == 124
    assert all(patient_of(path).patient == patient for path, patient in rows)


def record(image, **more):
    return {"query": "<image>What is shown?", "response": "A chest.", "images": [image], **more}


def limit(tmp_path, **files):
    for split, rows in files.items():
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return audit_dataset(tmp_path, skip=["broken-image"])


def test_images_whose_path_names_no_patient_are_counted(tmp_path):
    train = [record(f"{HEX}.png"), record(PADCHEST), record("00000013_005.png")]
    result = limit(tmp_path, train=train, test=[record("00000014_000.png")])
    assert result.limits["patient-over-splits"].startswith(
        "2 of 4 images (or records without one) have no known patient; 2 images are known by paths "
        "that name no patient (PadChest, VinDr-CXR,"
    )


def test_a_stated_patient_counts_more_than_a_path(tmp_path):
    train, test = [record(f"{HEX}.png", patient_id="a")], [record(PADCHEST, patient_id="b")]
    assert "patient-over-splits" not in limit(tmp_path, train=train, test=test).limits


def test_a_study_over_splits_is_a_patient_over_splits(tmp_path):
    """PadChest names no patient, but two images of one study are of one."""
    train, test = [record(f"{STUDY}_k6ga29.png")], [record(f"{STUDY}_x1y2z3.png")]
    result = limit(tmp_path, train=train, test=test)
    found = [i for i in result.issues if i.code == "patient-over-splits"]
    assert [(i.split, i.id) for i in found] == [("train+test", f"padchest/study-{STUDY}")]
    assert "2 images are known by paths" in result.limits["patient-over-splits"]
