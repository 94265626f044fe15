"""Audits more than 1,000 entries of real radiographs: clean data give no alarm, real faults do."""

import json
from collections import Counter

import polars as pl
import pytest

from imaxray.audit import audit_dataset
from imaxray.curation import build_catalog, write_dataset
from imaxray.export import ExportConfig, export_dataset
from imaxray.perceptual import can_hash


@pytest.fixture(scope="module")
def folder(open_cxr, tmp_path_factory):
    """A dataset of Wingspan, NIH and VQA-RAD."""
    names = ("wingspan-ctr", "nih-chestxray14", "vqa-rad")
    catalog = build_catalog({name: open_cxr / name for name in names}, verify=False)
    out = tmp_path_factory.mktemp("real") / "data"
    write_dataset(catalog, out, config={}, seed=0)
    return out


def test_3366_real_entries_give_no_alarm(folder):
    """Also no near duplicate: 490 chest films of other patients or days all look alike."""
    report = audit_dataset(folder)
    assert report.issues == (), report.to_text()
    assert (report.images, report.entries) == (490, 3366)
    assert can_hash() or "near-duplicate" in report.limits


@pytest.mark.parametrize("form", ["llamafactory", "swift", "llava", "trl", "fiftyone"])
def test_exports_of_real_entries_give_no_alarm(folder, tmp_path, form):
    given = {} if form in ("swift", "fiftyone") else {"boxes": "per-mille"}
    export_dataset(folder, form, tmp_path / "out", ExportConfig(**given))
    # pixels are those of the dataset; without them the test takes seconds
    report = audit_dataset(tmp_path / "out", skip=["near-duplicate"])
    assert report.issues == (), report.to_text()
    assert (report.images, report.entries) == (490, 3366)


def test_croissant_tables_of_real_entries_give_no_alarm(folder, tmp_path, open_cxr):
    export_dataset(folder, "croissant", tmp_path / "out")
    report = audit_dataset(tmp_path / "out", images=open_cxr, skip=["near-duplicate"])
    assert report.issues == (), report.to_text()
    assert (report.images, report.entries) == (490, 3366)
    assert "broken-image" not in report.limits


def test_what_the_published_vqa_rad_holds_is_found(open_cxr):
    """Its official split shares images, and clinicians contradict each other."""
    vqa = open_cxr / "vqa-rad"
    files = [vqa / "trainset.json", vqa / "testset.json"]
    train, test = (json.loads(path.read_text()) for path in files)
    shared = {r["image_name"] for r in train} & {r["image_name"] for r in test}
    report = audit_dataset(files, images=vqa / "images")
    assert report.entries == len(train) + len(test) == 3515
    assert {i.id for i in report.issues if i.code == "image-over-splits"} == shared
    assert len(shared) == 203
    both = [i.id for i in report.issues if i.code == "contradicting-answers"]
    asked = pl.DataFrame(
        [(f"{p.name}:{n}", r["image_name"], r["question"].lower(), str(r["answer"]).lower())
         for p, rows in zip(files, (train, test), strict=True) for n, r in enumerate(rows, 1)],
        schema=["id", "image", "question", "answer"], orient="row",
    )  # fmt: skip
    answers = asked.filter(pl.col("answer").is_in(["yes", "no"])).group_by("image", "question")
    contrary = answers.agg(pl.col("answer").n_unique().alias("n"), "id").filter(pl.col("n") > 1)
    assert contrary.height == 6 and len(both) == 7
    assert set(both) <= set(contrary["id"].explode())
    assert Counter(i.code for i in report.issues) == {
        "image-over-splits": 203,
        "contradicting-answers": 7,
        "prompt-target": 2,  # "What does the black area signify?" "Black"
    }
