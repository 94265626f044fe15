"""Tests external annotators: the built-in ones, and one of another package (its page is run)."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from imaxray.curation import open_dataset
from imaxray.errors import ImaxrayError
from imaxray.labeller import image_labels, shown
from imaxray.pseudo import (
    PSEUDO,
    AnnotateConfig,
    FilterConfig,
    ImageRequest,
    annotate,
    filter_folder,
    list_annotators,
)
from imaxray.pseudo.annotators import find_annotator
from imaxray.schema import FRONTAL
from imaxray.tasks import from_json
from plugins import Page

PAGE = Page("an-annotator")
(MODULE,) = PAGE.code


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def test_the_report_labeller_reads_the_reports_of_the_images(decentralized, tmp_path):
    done = annotate("report-labeller", decentralized, tmp_path / "out")
    train = decentralized.tables.split("train")
    frontal = decentralized.tables.images.filter(
        pl.col("view").is_null() | pl.col("view").is_in(FRONTAL)
    )["image_id"]
    reports = {
        image: "\n".join(from_json(answer).values())
        for image, answer in train.filter(
            pl.col("task") == "report", pl.col("image_id").is_in(frontal.implode())
        ).select("image_id", "answer").iter_rows()
    }  # fmt: skip
    table = done.candidates
    assert table.schema == PSEUDO and set(table["image_id"]) <= set(reports)
    assert set(table["task"]) == {"findings"} and set(table["model"]) == {"report-labeller"}
    assert set(table["prompt_from"]) == {"annotator"} and (table["logprob"] == 0).all()
    for image, answer in table.select("image_id", "answer").iter_rows():
        said = image_labels(shown(reports[image]))
        assert all(said[label] == value for label, value in from_json(answer).items())
    missing = set(reports) - set(table["image_id"])
    assert not any(1 in image_labels(shown(reports[image])).values() for image in missing)
    # the same tool answers real validation entries, which have a report beside the labels
    val = decentralized.tables.split("val").filter(pl.col("task") == "findings")
    assert 0 < done.calibration.height <= val.height
    assert set(done.calibration["pseudo_id"]) <= set(val["entry_id"])


def test_the_report_labeller_states_nothing_of_a_report_that_says_nothing():
    asked = [
        ImageRequest(name, 8, 8, "PA", report, lambda: np.zeros((8, 8), np.uint8))
        for name, report in (("a", "Unchanged."), ("b", "Normal chest."), ("c", None))
    ]
    stated = list(find_annotator("report-labeller").annotate(asked))
    assert [(one.image_id, one.name, one.value) for one in stated] == [("b", "No Finding", 1.0)]


def draw(shape, box):
    mask = np.zeros(shape, dtype=np.uint8)
    x1, y1, x2, y2 = box
    mask[y1:y2, x1:x2] = 255
    return mask


@pytest.fixture(scope="module")
def masks(decentralized, tmp_path_factory):
    """Masks of every image: a heart of half the width of the lungs; one label map."""
    folder = tmp_path_factory.mktemp("masks")
    for number, (image, width, height) in enumerate(
        decentralized.tables.images.select("image_id", "width", "height")
        .sort("image_id")
        .iter_rows()
    ):
        w, h = width // 8, height // 8
        organs = {
            "right_lung": (w, h, 3 * w, 6 * h), "left_lung": (5 * w, h, 7 * w, 6 * h),
            "heart": (3 * w, 4 * h, 6 * w, 6 * h),
        }  # fmt: skip
        if number == 0:
            continue  # no mask
        name = f"{image}.png"
        for organ, box in organs.items():
            path = folder / organ / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw((height, width), box)).save(path)
    return folder


def test_masks_give_ratios_and_boxes(decentralized, masks, tmp_path):
    config = AnnotateConfig(images_per_batch=7)
    done = annotate(f"masks:{masks}", decentralized, tmp_path / "out", config)
    table = done.candidates
    assert set(table["task"]) == {"calculation", "rec", "reg"}
    ratios = table.filter(pl.col("task") == "calculation")
    for template, answer in ratios.select("template", "answer").iter_rows():
        wanted = 0.5 if ".ctr." in template else 6 / 20
        assert from_json(answer) == pytest.approx(wanted, abs=0.02)
    rec = table.filter(pl.col("task") == "rec")
    phrases = {p for row in rec["prompt"] for p in ("heart", "left lung", "right lung") if p in row}
    assert phrases == {"heart", "left lung", "right lung"}
    reg = table.filter(pl.col("task") == "reg")
    assert set(reg["target"]) == phrases
    first = decentralized.tables.images["image_id"].sort()[0]
    assert first not in set(table["image_id"])
    # what the entries of an image state already is left out
    own = set(decentralized.tables.split("train").select("image_id", "task").unique().iter_rows())
    assert not own & set(table.select("image_id", "task").iter_rows())
    known = done.manifest["account"]["known"]
    assert known["rec"]["box-known"] > 0 or known["reg"]["phrase-known"] > 0
    again = annotate(f"masks:{masks}", decentralized, tmp_path / "again", config)
    assert files(tmp_path / "again") == files(tmp_path / "out") and again.candidates.height


def request(width=40, height=20, **more):
    return ImageRequest("a/b", width, height, None, None, lambda: np.zeros((1, 1)), **more)


def test_one_file_may_hold_all_organs_and_a_short_name_must_be_unique(tmp_path):
    values = np.zeros((20, 40), dtype=np.uint8)
    values[5:15, 2:10], values[5:15, 30:38], values[8:16, 10:28] = 3, 2, 1
    Image.fromarray(values).save(tmp_path / "b.png")
    masks = find_annotator(f"masks:{tmp_path}")
    facts = list(masks.annotate([request()]))
    boxes = {fact.text: fact.boxes for fact in facts if fact.kind == "region"}
    assert boxes["heart"] == [[10, 8, 28, 16]] and boxes["left lung"] == [[30, 5, 38, 15]]
    assert {f.name: f.value for f in facts if f.kind == "measurement"} == {
        "ctr": 18 / 36, "cpar": 144 / 160,
    }  # fmt: skip
    assert list(masks.annotate([request(unique_name=False)])) == []
    with pytest.raises(ImaxrayError, match=r"41 × 20 pixels, .* but it has 40 × 20; resize"):
        list(masks.annotate([request(width=41)]))
    before = masks.digest()
    Image.fromarray(values + 1).save(tmp_path / "b.png")
    assert masks.digest() != before


def test_a_package_adds_an_annotator_up_to_the_dataset(plug, decentralized, tmp_path):
    plug(PAGE)
    assert list_annotators() == ("report-labeller", "masks", "bright-lungs")
    config = AnnotateConfig(images_per_batch=5)
    done = annotate("bright-lungs:0.3", decentralized, tmp_path / "out", config)
    table = done.candidates
    assert set(table["model"]) == {"bright-lungs"} and set(table["task"]) == {"rec", "reg"}
    assert set(table["checkpoint"]) == {"1 threshold 0.3"}
    assert table["logprob"].n_unique() > 10 and (table["logprob"] <= 0).all()
    made = filter_folder(
        tmp_path / "out", decentralized.folder, tmp_path / "data", FilterConfig(confidence=False)
    )
    pseudo = (
        open_dataset(tmp_path / "data")
        .tables.split("train")
        .filter(pl.col("quality") == "pseudo/bright-lungs")
    )
    assert pseudo.height == made.filtered.kept.height > 0
    found = filter_folder(
        tmp_path / "out", decentralized.folder, tmp_path / "calibrated", FilterConfig()
    )
    assert {"rec"} <= set(found.thresholds.tasks)  # calibrated on real validation boxes


def test_an_interrupted_annotator_continues(plug, decentralized, tmp_path):
    plug(PAGE)
    config = AnnotateConfig(images_per_batch=3)
    whole = annotate("bright-lungs", decentralized, tmp_path / "whole", config)
    broken = MODULE.replace(
        "        for image in images:\n", "        for image in images:\n            self.stop()\n"
    ).replace(
        "    def digest",
        "    calls = 0\n\n    def stop(self):\n        type(self).calls += 1\n"
        "        if type(self).calls > 8:\n            raise OSError('power')\n\n    def digest",
    )
    import sys

    sys.modules.pop("bright_lungs", None)
    plug(PAGE, code=broken)
    with pytest.raises(
        ImaxrayError, match=r"imaxray-bright-lungs, but its annotate failed \(OSErr"
    ):
        annotate("bright-lungs", decentralized, tmp_path / "out", config)
    assert list((tmp_path / "out").rglob("candidates-*.parquet"))
    sys.modules.pop("bright_lungs", None)
    plug(PAGE)
    again = annotate("bright-lungs", decentralized, tmp_path / "out", config)
    assert again.candidates.equals(whole.candidates)
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_its_boxes_become_prompts_of_the_model(run_folder, decentralized, masks, tmp_path):
    config = AnnotateConfig(
        max_new_tokens=24, images_per_batch=8, calibration_per_task=2, limit=10,
        tasks=("rec", "reg"), teachers={"rec": f"masks:{masks}"},
    )  # fmt: skip
    done = annotate(run_folder, decentralized, tmp_path / "out", config)
    by = done.manifest["answered_by"]
    assert by["rec"]["name"] == "masks" and by["reg"]["name"] == "phantom"
    rec = done.candidates.filter(pl.col("task") == "rec")
    boxes = {(i, tuple(b[0])) for i, b in rec.select("image_id", "boxes").iter_rows()}
    reg = done.candidates.filter(pl.col("task") == "reg")
    assert reg.height and set(reg["prompt_from"]) == {"model"}
    assert {(i, tuple(b[0])) for i, b in reg.select("image_id", "boxes").iter_rows()} <= boxes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("from imaxray.pseudo import", "from no_such import"), "ModuleNotFoundError"),
        (("BrightLungs(Annotator)", "BrightLungs"), "no subclass of imaxray.pseudo.Annotator"),
        (('name = "bright-lungs"', 'name = "other"'), "its name is other"),
        (('tasks = ("rec", "reg")', 'tasks = ("seeing",)'), "it states seeing"),
        (("Stated(image.image_id,", 'Stated("nobody",'), "nobody, which it was not given"),
        (('"region", phrase', '"thing", phrase'), "kind thing; choose from"),
        (("score=share", "score=7"), "score 7, which does not lie between 0 and 1"),
    ],
)
def test_an_unfit_annotator_is_one_sentence(change, message, plug, decentralized, tmp_path):
    assert MODULE.count(change[0]) == 1
    plug(PAGE, code=MODULE.replace(*change))
    with pytest.raises(ImaxrayError, match=f"bright-lungs.*imaxray-bright-lungs.*{message}"):
        annotate("bright-lungs", decentralized, tmp_path)


def test_what_does_not_fit_is_one_sentence(decentralized, tmp_path, masks):
    with pytest.raises(ImaxrayError, match=r"masks:FOLDER, but got no folder"):
        annotate("masks", decentralized, tmp_path)
    with pytest.raises(ImaxrayError, match=r"masks:FOLDER, but got no folder"):
        annotate("masks:", decentralized, tmp_path)  # it was the current folder
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImaxrayError, match=r"masks as PNG files in .*empty.* none"):
        annotate(f"masks:{tmp_path / 'empty'}", decentralized, tmp_path / "out")
    with pytest.raises(ImaxrayError, match=r"without an argument, but got x"):
        annotate("report-labeller:x", decentralized, tmp_path)
    with pytest.raises(ImaxrayError, match=r"states \(findings\), but it is to answer grading"):
        config = AnnotateConfig(tasks=("grading",))
        annotate("report-labeller", decentralized, tmp_path, config)


def test_masks_of_real_radiographs_give_the_ratios_of_the_release(open_cxr, tmp_path):
    from imaxray.curation import build_catalog

    root = open_cxr / "wingspan-ctr"
    if not (root / "wingspan" / "mask").is_dir():
        pytest.skip(f"no masks in {root}")
    tables = build_catalog({"wingspan-ctr": root}, verify=False)
    some = tables.entries.filter(pl.col("task") == "rec").sort("entry_id").head(30)
    masks = find_annotator(f"masks:{root / 'wingspan' / 'mask'}")
    images = {row["image_id"]: row for row in tables.images.iter_rows(named=True)}
    for entry in some.iter_rows(named=True):
        row = images[entry["image_id"]]
        (box,) = [
            fact.boxes
            for fact in masks.annotate([ImageRequest(
                entry["image_id"], row["width"], row["height"], None, None, lambda: None
            )])
            if fact.kind == "region" and fact.text in entry["prompt"]
        ]  # fmt: skip
        assert box == from_json(entry["answer"])


def test_answers_are_not_written_into_the_dataset(decentralized):
    folder = (
        open_dataset(decentralized).folder
        if isinstance(decentralized, Path)
        else (decentralized.folder)
    )
    with pytest.raises(ImaxrayError, match="a folder of its own to write"):
        annotate("report-labeller", decentralized, folder)
    assert not (folder / "candidates.parquet").exists()
