"""Tests that the phantom has exact truth, real file formats and the same bytes every time."""

import csv
import gzip
import json
import zipfile
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from imaxray._common.verifying import verify_folder
from imaxray.errors import ImaxrayError
from imaxray.phantom import anatomy, write_phantom
from imaxray.phantom.cohort import Finding, draw_cohort
from imaxray.phantom.render import render
from imaxray.phantom.reports import phrase
from imaxray.schema import CHEXPERT
from imaxray.sources._shared.sections.report_sections import findings_and_impression

FRONTAL = [plan for plan in draw_cohort(80, 5) if plan.view != "LATERAL"]
KINDS = [
    Finding("effusion", "left", "lower", "moderate"),
    Finding("consolidation", "right", "upper", "small"),
    Finding("nodule", "left", "mid", "small"),
    Finding("pneumothorax", "right", "upper", "small"),
    Finding("edema", "", "", "1"),
    Finding("edema", "", "", "2"),
    Finding("edema", "", "", "3"),
    Finding("device", "", "", "pacemaker"),
    Finding("device", "", "", "central line"),
    Finding("device", "", "", "endotracheal tube"),
]


def header(path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as stream:
        return next(csv.reader(stream))


def test_the_ratio_is_measured_on_the_masks_and_close_to_the_plan():
    for plan in FRONTAL[:20]:
        body = anatomy.build(plan)
        rendered = render(plan)
        heart, lungs = anatomy.mask_box(body.heart), body.right_lung | body.left_lung
        x1, _, x2, _ = anatomy.mask_box(lungs)
        assert rendered.ctr == pytest.approx((heart[2] - heart[0]) / (x2 - x1))
        assert rendered.cpar == pytest.approx(body.heart.sum() / lungs.sum())
        assert abs(rendered.ctr - plan.ctr) < 0.02
        assert rendered.regions["cardiac silhouette"] == heart


def test_the_patients_right_lung_is_on_the_images_left():
    regions = render(FRONTAL[0]).regions
    assert regions["right lung"][2] <= regions["left lung"][0] + 1


@pytest.mark.parametrize("finding", KINDS, ids=lambda f: f"{f.kind} {f.size}")
def test_a_finding_changes_pixels_where_its_box_is(finding):
    plan = replace(FRONTAL[3], findings=(), ctr=0.45, view="PA")
    without = render(plan).pixels.astype(int)
    made = render(replace(plan, findings=(finding,)))
    change = np.abs(made.pixels.astype(int) - without)
    strong = change > 25
    assert strong.sum() > 40
    box = made.findings[0][1]
    if finding.kind == "edema":
        assert box is None
        return
    x1, y1, x2, y2 = (int(v) for v in box)
    # scatter blurs by about a pixel, the pleural line stands just outside the air
    near = strong[max(0, y1 - 4) : y2 + 4, max(0, x1 - 4) : x2 + 4].sum()
    assert near >= 0.97 * strong.sum()


def test_a_box_is_the_tight_box_of_its_mask():
    seen = 0
    for plan in FRONTAL:
        body = anatomy.build(plan)
        for finding, box in render(plan).findings:
            mask = anatomy.finding_mask(body, plan, finding)
            if mask is not None and mask.any():
                assert box == anatomy.mask_box(mask)
                seen += 1
    assert seen > 20


def test_phrases_identify_a_finding_in_its_image():
    for plan in FRONTAL:
        names = [phrase(f) for f in plan.findings]
        assert len(names) == len(set(names))


def test_headers_are_the_publishers(phantom_root):
    jpg = phantom_root / "mimic-cxr-jpg"
    assert header(jpg / "mimic-cxr-2.0.0-metadata.csv.gz") == [
        "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition",
        "Rows", "Columns", "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning",
        "ViewCodeSequence_CodeMeaning", "PatientOrientationCodeSequence_CodeMeaning",
    ]  # fmt: skip
    split = header(jpg / "mimic-cxr-2.0.0-split.csv.gz")
    assert split == ["dicom_id", "study_id", "subject_id", "split"]
    for labeler in ("chexpert", "negbio"):
        columns = header(jpg / f"mimic-cxr-2.0.0-{labeler}.csv.gz")
        assert columns == ["subject_id", "study_id", *CHEXPERT]
    assert "Airspace Opacity" in header(jpg / "mimic-cxr-2.1.0-test-set-labeled.csv")
    assert header(phantom_root / "cxr-cardiomegaly" / "CTRs.csv") == ["dicom_file", "CTR"]
    severity = phantom_root / "mimic-cxr-pe-severity" / "consensus_image_edema_severity.csv"
    assert header(severity) == ["subject_id", "study_id", "dicom_id", "edema_severity"]
    assert header(phantom_root / "ms-cxr" / "MS_CXR_Local_Alignment_v1.1.0.csv") == [
        "dicom_id", "category_name", "label_text", "path", "x", "y", "w", "h", "image_width",
        "image_height", "split",
    ]  # fmt: skip
    splits = phantom_root / "chest-imagenome" / "silver_dataset" / "splits"
    assert header(splits / "train.csv") == [
        "", "subject_id", "study_id", "dicom_id", "path", "ViewPosition",
    ]  # fmt: skip
    question = json.loads(
        (phantom_root / "mimic-cxr-vqa/MIMIC-Ext-MIMIC-CXR-VQA/dataset/train.json").read_text()
    )[0]
    assert list(question) == [
        "split", "idx", "subject_id", "study_id", "image_id", "image_path", "question",
        "semantic_type", "content_type", "template", "template_program", "template_arguments",
        "answer",
    ]  # fmt: skip


def test_reports_are_in_the_mimic_style_and_vary(phantom_root):
    with zipfile.ZipFile(phantom_root / "mimic-cxr" / "mimic-cxr-reports.zip") as archive:
        texts = [archive.read(name).decode() for name in archive.namelist()]
    assert all(" " * 33 + "FINAL REPORT" in text for text in texts)
    assert all(len(line) <= 79 for text in texts for line in text.splitlines())
    sections = [findings_and_impression(text) for text in texts]
    assert all(sections)
    bodies = [s["findings"] for s in sections if "findings" in s]
    assert len(set(bodies)) > 0.8 * len(bodies)
    assert {len(s) for s in sections} == {1, 2}
    assert any("___" in text for text in texts)


def test_the_documented_quirks_are_there(tmp_path):
    out = tmp_path / "phantom"
    write_phantom(out, images=500, seed=11)

    def column(path, name):
        return pl.read_csv(path, infer_schema=False)[name]

    labels = pl.read_csv(
        out / "mimic-cxr-jpg/mimic-cxr-2.0.0-chexpert.csv.gz", infer_schema=False
    ).select(CHEXPERT)
    values = set(labels.unpivot()["value"].to_list())
    assert values == {None, "1.0", "0.0", "-1.0"}
    metadata = out / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz"
    assert column(metadata, "ViewPosition").null_count() > 0
    split = out / "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz"
    assert set(column(split, "split")) == {"train", "validate", "test"}
    ratios = column(out / "cxr-cardiomegaly/CTRs.csv", "CTR").cast(pl.Float64)
    assert ratios.is_in([2.0, 3.0, 4.0]).any()
    phrases = column(out / "ms-cxr/MS_CXR_Local_Alignment_v1.1.0.csv", "label_text")
    assert phrases.str.contains("^[A-Z]").any()  # repeated in other case
    with zipfile.ZipFile(out / "chest-imagenome/silver_dataset/scene_graph.zip") as archive:
        graphs = [json.loads(archive.read(name)) for name in archive.namelist()]
    corners = [(o["original_x1"], o["original_x2"]) for g in graphs for o in g["objects"]]
    assert any(x1 < 0 for x1, _ in corners) and any(x1 == x2 for x1, x2 in corners)
    assert any("attributes" not in g for g in graphs)
    listed = column(out / "chest-imagenome/silver_dataset/splits/train.csv", "dicom_id")
    assert len(set(listed) - {g["image_id"] for g in graphs}) > 0


def test_the_same_seed_gives_the_same_plan_and_another_does_not():
    assert draw_cohort(50, 1) == draw_cohort(50, 1) != draw_cohort(50, 2)
    assert draw_cohort(30, 1) == draw_cohort(50, 1)[:30]


def test_a_changed_file_of_a_phantom_is_found(tmp_path):
    write_phantom(tmp_path / "p", images=20)
    assert verify_folder(tmp_path / "p") == (".imaxray-written.json", [])
    image = next((tmp_path / "p").rglob("*.jpg"))
    image.write_bytes(image.read_bytes()[:-1])
    name = image.relative_to(tmp_path / "p").as_posix()
    assert verify_folder(tmp_path / "p")[1] == [name]


def test_foreign_folders_are_refused_and_finished_ones_left(tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "mine.txt").write_text("keep")
    with pytest.raises(ImaxrayError, match="other files"):
        write_phantom(tmp_path / "foreign", images=20)
    out = tmp_path / "phantom"
    write_phantom(out, images=20, seed=1)
    marker = out / "truth" / "images.parquet"
    before = marker.stat().st_mtime_ns
    write_phantom(out, images=20, seed=1)
    assert marker.stat().st_mtime_ns == before
    write_phantom(out, images=20, seed=2)
    assert marker.stat().st_mtime_ns != before


@pytest.mark.parametrize("text", ['{"seed": 1}', "no json"])
def test_a_folder_that_merely_has_a_phantom_json_is_left_alone(tmp_path, text):
    (tmp_path / "p" / "chapters").mkdir(parents=True)
    (tmp_path / "p" / "phantom.json").write_text(text)
    (tmp_path / "p.part").mkdir()
    with pytest.raises(ImaxrayError, match="other files"):
        write_phantom(tmp_path / "p", images=20)
    assert (tmp_path / "p" / "chapters").is_dir() and (tmp_path / "p.part").is_dir()
