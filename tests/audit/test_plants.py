"""Plants faults in data of every format; clean data of every format give no alarm."""

import json
import shutil
from pathlib import Path

import pytest

from audit.formats import (
    EXPORTS,
    PLACES,
    Alpaca,
    Blocks,
    Croissant,
    FiftyOne,
    LlamaFactory,
    Llava,
    Query,
    Questions,
    Qwen,
    Swift,
    TrlTexts,
    draw,
    make_dataset,
)
from audit.plants import FORMATS, NOT_HERE, PLANTS, expected, is_found, result, table
from imaxray.audit import audit_dataset
from imaxray.export import ExportConfig, export_dataset, list_formats
from imaxray.perceptual import can_hash


def named(form):
    return form.__name__


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("plants"))


@pytest.fixture(scope="module")
def clean(dataset, tmp_path_factory):
    """Function that writes clean data of a format, once for all tests."""
    made = {}

    def clean(form):
        if form not in made:
            made[form] = tmp_path_factory.mktemp("clean") / form.__name__
            form.make(dataset, made[form])
        return made[form]

    return clean


@pytest.fixture
def data(clean, tmp_path):
    """Function that opens a copy of the clean data of a format."""

    def data(form):
        shutil.copytree(clean(form), tmp_path / "data", symlinks=True)
        return form(tmp_path / "data")

    return data


@pytest.mark.parametrize("form", FORMATS, ids=named)
def test_clean_data_give_no_alarm(data, form):
    rows = data(form)
    report = rows.audit()
    assert report.issues == (), report.to_text()
    assert report.images == len(PLACES)
    assert report.entries == sum(map(len, rows.rows.values()))
    leaks = ("patient-over-splits", "image-over-splits", "broken-image", "duplicate-over-splits")
    assert not set(leaks) & set(report.limits), report.limits


@pytest.mark.parametrize("images", ["path", "link", "copy", "write"])
@pytest.mark.parametrize("per", ["entry", "image"])
@pytest.mark.parametrize("form", sorted(list_formats()))
def test_every_export_gives_no_alarm(dataset, tmp_path, form, images, per):
    given = {"images": images, "per": per}
    if form in ("llamafactory", "llava", "trl"):
        given["boxes"] = "per-mille"
    if form in ("fiftyone", "croissant"):
        given.pop("per")
    if form == "croissant":
        given.pop("images")
    if (form == "trl" and images == "link") or (form == "fiftyone" and images == "write"):
        pytest.skip("the format has no such images")
    out = tmp_path / "out"
    export_dataset(dataset, form, out, ExportConfig(**given))
    report = audit_dataset(out)
    assert report.issues == (), report.to_text()
    assert report.entries == dataset.tables.entries.height
    assert report.images == 3


def test_images_that_are_not_here_are_no_fault_but_a_limit(data):
    report = audit_dataset(data(Croissant).folder)
    assert report.issues == ()
    assert report.limits["broken-image"] == "the files of 3 of 3 images are not here; pass --images"
    assert "cannot be read" in report.limits["duplicate-over-splits"]


def test_a_damaged_export_of_tables_is_a_sentence(data):
    from imaxray.errors import ImaxrayError

    folder = data(Croissant).folder
    (folder / "annotations.parquet").write_bytes(b"PAR1")
    with pytest.raises(ImaxrayError, match="Parquet table"):
        audit_dataset(folder)


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("form", FORMATS, ids=named)
def test_a_planted_fault_is_found(data, form, plant):
    if (form, plant) in NOT_HERE:
        pytest.skip("the format cannot have this fault")
    if PLANTS[plant][1] == "near-duplicate" and not can_hash():
        pytest.skip("imagehash is not installed")
    report = result(data(form), plant)
    assert is_found(report, plant), report.to_text()


def test_the_table_of_the_documentation_is_what_these_tests_hold():
    page = Path(__file__).parents[2] / "docs" / "audit.md"
    assert table(expected) in page.read_text(encoding="utf-8")


def test_twelve_kinds_of_fault_are_planted_in_every_format():
    for form in FORMATS:
        assert sum((form, plant) not in NOT_HERE for plant in PLANTS) >= 12


def test_every_format_of_export_is_planted():
    assert {form.form for form in EXPORTS if hasattr(form, "form")} | {
        "fiftyone", "croissant",
    } == set(list_formats())  # fmt: skip


@pytest.mark.parametrize("form", [LlamaFactory, Swift, Llava, Query], ids=named)
@pytest.mark.parametrize("marks", ["<image><image>", ""])
def test_wrong_marks_of_images_are_found(data, form, marks):
    if form is Query and not marks:
        pytest.skip("ms-swift puts the image first if there is no mark")
    rows = data(form)
    rows.change(rows.asked(), question=lambda text: text.replace("<image>", marks))
    rows.save()
    assert [issue.code for issue in rows.audit().issues] == ["marks"]


def boxed(rows):
    return next(row for row in rows if row["objects"]["bbox"])


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda row: row["objects"]["bbox"].clear() or row["objects"]["image_id"].clear(), "marks"),
        (lambda row: row["objects"].update(bbox=[[0.1, 0.2, 0.5, 0.6]]), "box-scale"),
        (lambda row: row["objects"].update(bbox=[[10, 8, 10, 48]]), "box-degenerate"),
        (lambda row: row["objects"].update(bbox=[[10, 8, 290, 48]]), "box-outside-frame"),
    ],
)
def test_faults_of_boxes_of_swift_are_found(data, spoil, code):
    rows = data(Swift)
    spoil(boxed(rows.rows["train"]))
    rows.save()
    assert code in {issue.code for issue in rows.audit().issues}


@pytest.mark.parametrize(
    ("box", "code"),
    [
        ([0.1, 0.1, 0.95, 0.2], "box-outside-frame"),
        ([0.1, 0.1, 0.0, 0.2], "box-degenerate"),
        ([0.1, 0.1, None, 0.2], "box-degenerate"),
        ([0.1, 0.1], "box-degenerate"),
        ("none", "box-degenerate"),
    ],
)
def test_faults_of_boxes_of_fiftyone_are_found(data, box, code):
    rows = data(FiftyOne)
    sample, _ = rows.of("train")
    sample["regions"]["detections"][0]["bounding_box"] = box
    rows.save()
    assert [issue.code for issue in rows.audit().issues] == [code]


def test_labels_of_fiftyone_contradict_answers(data):
    rows = data(FiftyOne)
    sample, _ = rows.of("train")
    sample["negatives"] = {"_cls": "Classifications", "classifications": [{"label": "Edema"}]}
    rows.save()
    assert [issue.code for issue in rows.audit().issues] == ["vqa-labels"]


def test_samples_of_other_projects_need_no_entries(tmp_path):
    """FiftyOne's plain export has images below data/ and fields of any name."""
    samples = []
    for seed, split in enumerate(("train", "validation", "test")):
        draw(tmp_path / "data" / f"{split}.png", seed)
        box = {"_cls": "Detection", "label": "heart", "bounding_box": [0.2, 0.2, 0.5, 0.9]}
        truth = {"_cls": "Detections", "detections": [box]}
        samples.append({"filepath": f"data/{split}.png", "tags": ["x", split], "truth": truth})
    (tmp_path / "samples.json").write_text(json.dumps({"samples": samples}))
    report = audit_dataset(tmp_path)
    assert {(i.code, i.split) for i in report.issues} == {
        ("box-outside-frame", "train"), ("box-outside-frame", "val"), ("box-outside-frame", "test"),
    }  # fmt: skip
    assert (report.images, report.entries) == (3, 0)


@pytest.mark.parametrize("form", [Alpaca, Query, TrlTexts, Questions, Blocks, Qwen], ids=named)
def test_other_tools_records_are_read(tmp_path, form):
    for split, start in (("train", 0), ("test", 2)):
        rows = [
            form.row(f"CheXpert/patient{start + n:05}/i.png", "Is there edema?", "No")
            for n in range(2)
        ]
        for n in range(2):
            draw(tmp_path / f"CheXpert/patient{start + n:05}/i.png", start + n)
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = audit_dataset(tmp_path)
    assert report.issues == (), report.to_text()
    assert (report.images, report.entries) == (4, 4)
    assert "patient-over-splits" not in report.limits  # the paths name the patients
    rows = [form.row("CheXpert/patient00001/i.png", "Is there edema?", "")]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert {i.code for i in audit_dataset(tmp_path).issues} == {
        "empty-answer", "image-over-splits", "patient-over-splits",
    }  # fmt: skip


def report_of(image, text, split):
    return {"id": image, "report": text, "image_path": [image], "split": split}


def test_r2gens_file_holds_all_splits(tmp_path):
    names = {"train": ["00000001_000.png", "00000002_000.png"], "test": ["00000003_000.png"]}
    whole = {
        split: [report_of(name, "No effusion.", split) for name in of_split]
        for split, of_split in names.items()
    }
    for seed, name in enumerate(n for part in names.values() for n in part):
        draw(tmp_path / name, seed)
    (tmp_path / "annotation.json").write_text(json.dumps(whole))
    report = audit_dataset(tmp_path)
    assert report.issues == (), report.to_text()
    assert report.entries == 3 and "patient-over-splits" not in report.limits
    whole["test"].append(report_of("00000001_000.png", "", "test"))
    (tmp_path / "annotation.json").write_text(json.dumps(whole))
    found = {i.code for i in audit_dataset(tmp_path).issues}
    assert {"patient-over-splits", "image-over-splits", "empty-answer"} <= found


def test_folders_of_splits_are_splits(tmp_path):
    for number, split in enumerate(("train", "test")):
        draw(tmp_path / f"{number}.png", number)
        (tmp_path / split).mkdir()
        row = Query.row(f"{number}.png", "What is shown?", "A chest.")
        (tmp_path / split / "data.jsonl").write_text(json.dumps({**row, "patient_id": "p1"}))
    found = [(i.code, i.split) for i in audit_dataset(tmp_path).issues]
    assert found == [("patient-over-splits", "train+test")]


def test_whole_paths_of_strangers_are_not_followed(tmp_path):
    """Only imaxray's own export may name images by whole paths."""
    draw(tmp_path / "elsewhere" / "a.png", 1)
    (tmp_path / "data").mkdir()
    row = Query.row(str(tmp_path / "elsewhere" / "a.png"), "What is shown?", "A chest.")
    Path(tmp_path / "data" / "train.jsonl").write_text(json.dumps(row))
    [issue] = audit_dataset(tmp_path / "data").issues
    assert issue.code == "broken-image" and "leads out" in issue.message
