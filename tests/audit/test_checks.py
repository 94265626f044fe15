"""Tests that each check, and no other, finds a planted fault and ignores similar correct data."""

import importlib.util
import shutil
from dataclasses import replace

import polars as pl
import pytest
from PIL import Image

from imaxray.audit import CHECKS
from imaxray.schema import Boxes

CTR = {"kind": "measurement", "name": "ctr", "value": 0.61}
HAS_HASHES = importlib.util.find_spec("imagehash") is not None


def label(name, value, **more):
    return {"kind": "label", "name": name, "value": value, **more}


def report(text):
    return {"kind": "report", "name": "findings", "text": text}


def question(text, *answers, closed=True):
    return {"kind": "qa", "name": "q", "value": float(closed), "text": text,
            "answers": list(answers)}  # fmt: skip


def region(*boxes):
    return {"kind": "region", "name": "n", "text": "n", "boxes": [list(box) for box in boxes]}


def on(image, value, column):
    """The column with ``value`` for one image."""
    is_it = pl.col("image_id") == f"c/{image}"
    return {column: pl.when(is_it).then(pl.lit(value)).otherwise(pl.col(column))}


def found(data, **options):
    return [(f.code, f.split, f.id) for f in data.audit(**options).issues]


def plant_entry_image(data):
    data.entries(**on("c", "c/other", "patient_id"))


def plant_patient_over_splits(data):
    for table in (data.images, data.entries):
        table(**on("d", "c/p1", "patient_id"))


def plant_patient_over_sources(data):
    plant_patient_over_splits(data)
    data.images(source=pl.col("source").cast(pl.String))
    data.images(**on("d", "y", "source"))
    of_d = pl.col("image_id") == "c/d"
    data.entries(sources=pl.when(of_d).then(pl.lit(["y"])).otherwise(pl.col("sources")))
    data.tables.roots["y"] = data.root


def plant_broken_image(data):
    (data.root / "c.png").unlink()


def plant_image_over_splits(data):
    of_first = pl.col("entry_id") == data.entry("a", "grading")
    data.entries(split=pl.when(of_first).then(pl.lit("val")).otherwise(pl.col("split")))


def plant_duplicate_image(data):
    # another file, the same pixels
    Image.open(data.root / "a.png").save(data.root / "b.png", compress_level=1)


def plant_duplicate_over_splits(data):
    Image.open(data.root / "a.png").save(data.root / "d.tif")
    data.images(**on("d", "d.tif", "path"))


def plant_near_duplicate(data):
    Image.open(data.root / "a.png").resize((128, 96)).save(data.root / "d.png")
    data.images(**on("d", 128, "width"))
    data.images(**on("d", 96, "height"))


def plant_box_degenerate(data):
    data.annotate("c", region((30, 10, 30, 20)))


def plant_box_outside_frame(data):
    data.annotate("c", region((30, 10, 65, 20)))


def plant_ctr(data):
    data.annotate("c", CTR, label("Cardiomegaly", 0.0))


def plant_edema(data):
    data.annotate("c", {"kind": "grade", "name": "edema", "value": 2.0}, label("Edema", 0.0))


def plant_report(data):
    data.annotate("c", report("There is a large pneumothorax."), label("Pneumothorax", 0.0))


def plant_vqa(data):
    data.annotate("c", question("Is there edema?", "no"), label("Edema", 1.0))


def plant_prompt(data):
    of_report = pl.col("entry_id") == data.entry("c", "report")
    told = pl.lit("Write the findings: INTERSTITIAL EDEMA; no pneumothorax!")
    data.entries(prompt=pl.when(of_report).then(told).otherwise(pl.col("prompt")))


# code -> plant, split, and what names the fault: an id, or image and task of the entry
PLANTED = {
    "entry-image": (plant_entry_image, "val", None),
    "patient-over-splits": (plant_patient_over_splits, "train+test", "c/p1"),
    "patient-over-sources": (plant_patient_over_sources, "train+test", "c/p1"),
    "image-over-splits": (plant_image_over_splits, "train+val", "c/a"),
    "broken-image": (plant_broken_image, "val", "c/c"),
    "duplicate-image": (plant_duplicate_image, "train", "c/b"),
    "duplicate-over-splits": (plant_duplicate_over_splits, "train+test", "c/d"),
    "near-duplicate": (plant_near_duplicate, "train+test", "c/d"),
    "box-degenerate": (plant_box_degenerate, "val", None),
    "box-outside-frame": (plant_box_outside_frame, "val", None),
    "ctr-cardiomegaly": (plant_ctr, "val", ("c", "calculation")),
    "edema-grade": (plant_edema, "val", ("c", "grading")),
    "report-labels": (plant_report, "val", ("c", "report")),
    "vqa-labels": (plant_vqa, "val", ("c", "vqa")),
    "prompt-target": (plant_prompt, "val", ("c", "report")),
}
# an entry in another split than its image, and its patient with it, are seen by these too
ALSO = {
    "image-over-splits": {"entry-image", "patient-over-splits"},
}


def test_every_check_has_a_planted_fault():
    # what a dataset folder cannot have is planted in foreign files (test_plants.py)
    foreign = {"bad-record", "marks", "empty-answer", "contradicting-answers", "box-scale"}
    assert {check.code for check in CHECKS} == {*PLANTED, *foreign}


def test_codes_are_distinct_and_described_in_one_line():
    assert len({check.code for check in CHECKS}) == len(CHECKS)
    assert all(check.description and "\n" not in check.description for check in CHECKS)


def test_clean_data_are_clean(data):
    result = data.audit()
    assert result.issues == () and result.clean
    assert (result.images, result.entries) == (4, 4 * 7)
    assert set(result.limits) <= {"near-duplicate"}  # where imagehash is not installed


@pytest.mark.parametrize("code", PLANTED)
def test_a_planted_fault_is_found(data, code):
    if code == "near-duplicate" and not HAS_HASHES:
        pytest.skip("imagehash is not installed")
    plant, split, place = PLANTED[code]
    plant(data)
    faults = found(data)
    assert {c for c, _, _ in faults} == {code} | ALSO.get(code, set())
    mine = [(s, i) for c, s, i in faults if c == code]
    assert {s for s, _ in mine} == {split}
    if place is not None:
        assert [i for _, i in mine] == [place if isinstance(place, str) else data.entry(*place)]


@pytest.mark.parametrize("code", PLANTED)
def test_a_check_that_is_skipped_says_so(data, code):
    PLANTED[code][0](data)
    result = data.audit(skip=[code])
    assert result.limits[code] == "skipped" and result.counts[code] == 0


@pytest.mark.parametrize(
    "given",
    [
        (CTR, label("Cardiomegaly", -1.0)),  # uncertain
        (CTR, label("Edema", 0.0)),  # unknown
        (CTR | {"value": 0.51}, label("Cardiomegaly", 0.0)),  # within the margin
        (CTR | {"value": 0.46}, label("Cardiomegaly", 1.0)),
        (CTR | {"name": "cpar"}, label("Cardiomegaly", 0.0)),
        (CTR, label("Cardiomegaly", 1.0), label("Cardiomegaly", 0.0, origin="silver")),
        ({"kind": "grade", "name": "edema", "value": 0.0}, label("Edema", 0.0)),
        ({"kind": "grade", "name": "edema", "value": 1.0}, label("Edema", 0.0)),
        (report("There may be a small pneumothorax."), label("Pneumothorax", 0.0)),
        (report("No large pneumothorax."), label("Pneumothorax", 1.0)),
        (report("No pneumothorax."), label("Pneumothorax", 0.0)),
        (question("Is there edema in the left lung?", "no"), label("Edema", 1.0)),
        (question("Is there new edema?", "no"), label("Edema", 1.0)),
        (question("Is there edema or pneumonia?", "yes"), label("Edema", 0.0)),
        (question("Is there edema?", "yes"), label("Edema", 1.0)),
        (question("Is this a PA or an AP image?", "pa"), label("Edema", 1.0)),
        (question("Is it left, right or both?", "right", closed=False), label("Edema", 1.0)),
        (region((0, 0, 64, 48)),),
    ],
)
def test_what_is_no_fault_is_not_found(data, given):
    data.annotate("c", *given)
    assert found(data) == []


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ((CTR, label("No Finding", 1.0)), "ctr-cardiomegaly"),
        ((CTR | {"value": 0.44}, label("Cardiomegaly", 1.0)), "ctr-cardiomegaly"),
        (({"kind": "grade", "name": "edema", "value": 0.0}, label("Edema", 1.0)), "edema-grade"),
        ((report("No pneumothorax."), label("Pneumothorax", 1.0)), "report-labels"),
        ((question("Is there edema in the left lung?", "yes"), label("Edema", 0.0)), "vqa-labels"),
        ((question("What is on the left side?", "left side", closed=False),), "prompt-target"),
        ((region((-1, 0, 5, 5)),), "box-outside-frame"),
        ((region((9, 0, 5, 5)),), "box-degenerate"),
    ],
)
def test_further_faults_are_found(data, given, code):
    data.annotate("c", *given)
    assert {c for c, _, _ in found(data)} == {code}


@pytest.mark.parametrize("box", [[float("nan"), 0, 5, 5], [1.0, 0, 5], [1.0, None, 5, 5], []])
def test_what_is_no_box_is_degenerate(data, box):
    """Our own tables hold none of these; a table that others wrote may."""
    is_it = (pl.col("image_id") == "c/c") & (pl.col("kind") == "region")
    spoilt = pl.when(is_it).then(pl.lit([box], dtype=Boxes)).otherwise(pl.col("boxes"))
    annotations = data.tables.annotations.with_columns(boxes=spoilt)
    data.tables = replace(data.tables, annotations=annotations)
    assert found(data) == [("box-degenerate", "val", "x:x:7")]


def test_the_boxes_of_entries_and_of_annotations_are_both_looked_at(data):
    plant_box_outside_frame(data)
    ids = {i for _, _, i in found(data)}
    assert ids == {"x:x:1", data.entry("c", "rec"), data.entry("c", "reg")}


def test_a_gold_box_in_the_prompt_is_a_leak_for_rec_but_not_for_reg(data):
    box = [[10.0, 8.0, 40.0, 48.0]]
    is_rec = pl.col("entry_id") == data.entry("c", "rec")
    data.entries(
        prompt=pl.when(is_rec).then(pl.lit("Locate <box>.")).otherwise(pl.col("prompt")),
        boxes=pl.when(is_rec).then(pl.lit(box * 2)).otherwise(pl.col("boxes")),
    )
    assert found(data) == [("prompt-target", "val", data.entry("c", "rec"))]


def test_the_phrase_in_the_prompt_of_reg_is_no_leak(data):
    is_reg = pl.col("task") == "reg"
    told = pl.lit("Describe the heart <box>.")
    data.entries(prompt=pl.when(is_reg).then(told).otherwise(pl.col("prompt")))
    assert found(data) == []


def test_findings_may_be_offered_but_not_told(data):
    def ask(text):
        is_it = pl.col("task") == "findings"
        data.entries(prompt=pl.when(is_it).then(pl.lit(text)).otherwise(pl.col("prompt")))
        return {(code, i) for code, _, i in found(data)}

    assert ask("Which of Cardiomegaly, Edema and Pneumothorax are there?") == set()
    told = {("prompt-target", data.entry(image, "findings")) for image in "abcd"}
    assert ask("The patient has edema. List the findings.") == told


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda d: (d.root / "c.png").write_bytes(b"no image"), "damaged"),
        (lambda d: Image.new("L", (20, 20)).save(d.root / "c.png"), "different size"),
        (lambda d: Image.new("1", (20_000, 10_000)).save(d.root / "c.png"), "damaged"),  # a bomb
        (lambda d: d.images(**on("c", "../release/c.png", "path")), "leads out of the release"),
        (lambda d: d.tables.roots.pop("x"), "folder of its release is not known"),
    ],
)
def test_every_reason_why_an_image_is_broken(data, spoil, why):
    spoil(data)
    faults = [f for f in data.audit().issues if f.code == "broken-image"]
    assert "c/c" in [f.id for f in faults] and all(why in f.message for f in faults)


def test_images_can_be_looked_for_elsewhere(data):
    folder = data.write()
    shutil.move(data.root, data.tmp / "x")
    assert {f.code for f in data.audit().issues} == {"broken-image"}
    for root in (data.tmp / "x", data.tmp):  # the files themselves, or a folder a source
        assert data.audit(images=root).clean, folder


def test_images_that_cannot_be_read_are_told_as_limits(data):
    plant_broken_image(data)
    limits = data.audit().limits
    assert limits["duplicate-image"] == "1 of 4 images cannot be read"


def test_without_checks_of_images_none_is_decoded(data, monkeypatch):
    from imaxray.audit.pixels import pixel_digests

    monkeypatch.setattr(pixel_digests, "_survey", lambda *_: pytest.fail("decoded"))
    codes = [c.code for c in CHECKS if "image" in c.code or "duplicate" in c.code]
    assert data.audit(skip=codes).clean


def test_one_split_leaks_nothing_and_says_so(data):
    data.images(split=pl.lit("train"))
    data.entries(split=pl.lit("train"))
    assert data.audit().limits["patient-over-splits"] == "there is only one split"


def test_no_finding_of_the_contradiction_kind_quotes_text(data):
    secret = "There is a large pneumothorax."
    plant_report(data)
    assert secret not in data.audit().to_json()
