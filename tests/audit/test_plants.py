"""Plants faults in exports of every format; a clean export of every format gives no alarm."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from imaxray.audit import audit_dataset
from imaxray.curation import Tables, open_dataset, write_dataset
from imaxray.export import ExportConfig, export_dataset
from imaxray.schema import ANNOTATIONS, IMAGES, conform
from imaxray.tasks import make_entries

FORMATS = ("llamafactory", "swift", "llava")
PLACES = {"a": ("10000001", "train"), "b": ("10000002", "train"), "c": ("10000003", "test")}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Three images with a report, a box and a question each."""
    tmp = tmp_path_factory.mktemp("plants")
    for seed, name in enumerate(PLACES):
        coarse = np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC)
        (tmp / "release").mkdir(exist_ok=True)
        image.save(tmp / "release" / f"{name}.png")
    images = conform(
        pl.DataFrame([
            {"image_id": f"c/{i}", "patient_id": f"c/{p}", "split": s, "path": f"{i}.png",
             "width": 64, "height": 48, "view": "PA", "source": "x", "file": "x", "row": n}
            for n, (i, (p, s)) in enumerate(PLACES.items(), start=1)
        ]),
        IMAGES,
    )  # fmt: skip
    facts = [
        {"image_id": f"c/{i}", "origin": "human", "quality": "q", "source": "x", "file": "x",
         "row": 1, **fact}
        for i in PLACES
        for fact in (
            {"kind": "report", "name": "findings", "text": "Small effusion. No pneumothorax."},
            {"kind": "region", "name": "heart", "text": "heart", "boxes": [[10.0, 8, 40, 48]]},
            {"kind": "qa", "name": "verify", "value": 1.0, "text": "Is there edema?",
             "answers": ["yes"]},
        )
    ]  # fmt: skip
    annotations = conform(pl.DataFrame(facts, infer_schema_length=None), ANNOTATIONS)
    tables = Tables(
        images, annotations, make_entries(annotations, images), roots={"x": tmp / "release"}
    )
    write_dataset(tables, tmp / "data", config={}, seed=0)
    return open_dataset(tmp / "data")


def exported(dataset, folder, form, images="path"):
    given = {} if form == "swift" else {"boxes": "per-mille"}
    export_dataset(dataset, form, folder, ExportConfig(images=images, **given))
    return folder


@pytest.mark.parametrize("images", ["path", "link", "copy", "write"])
@pytest.mark.parametrize("form", FORMATS)
def test_a_clean_export_gives_no_alarm(dataset, tmp_path, form, images):
    report = audit_dataset(exported(dataset, tmp_path / "out", form, images))
    assert report.issues == (), report.to_text()
    assert report.images == 3 and report.entries == dataset.tables.entries.height


def path_of(folder, split):
    return next(p for p in folder.iterdir() if p.stem == split)


def rows_of(path):
    text = path.read_text()
    return json.loads(text) if path.suffix == ".json" else [
        json.loads(line) for line in text.strip().split("\n")
    ]  # fmt: skip


def write_rows(path, rows):
    lines = [json.dumps(row) for row in rows]
    path.write_text(f"[{','.join(lines)}]" if path.suffix == ".json" else "\n".join(lines))


def turns(row):
    return row.get("messages") or row["conversations"]


def key(row):
    return "content" if "messages" in row else "value"


def change(question=None, answer=None):
    def apply(rows, _):
        row = next(r for r in rows if "edema" in turns(r)[0][key(r)])
        name = key(row)
        if question is not None:
            turns(row)[0][name] = question(turns(row)[0][name])
        if answer is not None:
            turns(row)[1][name] = answer

    return apply


def asked_twice(rows, _):
    row = next(r for r in rows if "edema" in turns(r)[0][key(r)])
    other = json.loads(json.dumps(row))
    other["id"] = "again"
    turns(other)[1][key(other)] = "No."
    rows.append(other)


def other_patient(rows, others):
    rows[0]["meta"] = json.dumps({**json.loads(rows[0]["meta"]), "patient_id": "c/10000003"})


def image_of_the_test(rows, others):
    name = "images" if "images" in rows[0] else "image"
    rows[0][name] = others[0][name]


def missing(rows, _):
    name = "images" if "images" in rows[0] else "image"
    gone = "/nowhere/gone.png"
    rows[0][name] = [gone] if name == "images" else gone


def no_turns(rows, _):
    rows[0]["messages" if "messages" in rows[0] else "conversations"] = []


PLANTS = {
    "two marks of an image": (change(lambda q: f"<image>{q}"), "marks"),
    "no mark of the image": (change(lambda q: q.replace("<image>", "")), "marks"),
    "an empty answer": (change(answer=" "), "empty-answer"),
    "yes and no": (asked_twice, "contradicting-answers"),
    "a patient over splits": (other_patient, "patient-over-splits"),
    "an image over splits": (image_of_the_test, "image-over-splits"),
    "a missing image": (missing, "broken-image"),
    "a record without messages": (no_turns, "bad-record"),
    "the answer in the prompt": (
        change(lambda q: f"{q} The finding is cardiomegaly.", "cardiomegaly"), "prompt-target",
    ),
}  # fmt: skip


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("form", FORMATS)
def test_a_planted_fault_is_found(dataset, tmp_path, form, plant):
    folder = exported(dataset, tmp_path / "out", form)
    spoil, code = PLANTS[plant]
    path = path_of(folder, "train")
    rows = rows_of(path)
    spoil(rows, rows_of(path_of(folder, "test")))
    write_rows(path, rows)
    found = {issue.code for issue in audit_dataset(folder).issues}
    assert code in found, found


def boxed(rows):
    return next(row for row in rows if row["objects"]["bbox"])


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda row: row["objects"]["bbox"].clear() or row["objects"]["image_id"].clear(), "marks"),
        (lambda row: row["objects"].update(bbox=[[0.1, 0.2, 0.5, 0.6]]), "box-scale"),
        (lambda row: row["objects"].update(bbox=[[10, 8, 10, 48]]), "box-degenerate"),
        (lambda row: row["objects"].update(bbox=[[10, 8, 90, 48]]), "box-outside-frame"),
    ],
)
def test_faults_of_boxes_of_swift_are_found(dataset, tmp_path, spoil, code):
    folder = exported(dataset, tmp_path / "out", "swift")
    path = path_of(folder, "train")
    rows = rows_of(path)
    spoil(boxed(rows))
    write_rows(path, rows)
    assert code in {issue.code for issue in audit_dataset(folder).issues}


def record(form, image, question, answer):
    return {
        "alpaca": {"instruction": question, "input": "", "output": answer, "images": [image]},
        "query": {"query": f"<image>{question}", "response": answer, "images": [image]},
        "trl": {"prompt": question, "completion": answer, "images": [image]},
        "qwen": {"conversations": [
            {"from": "user", "value": f"Picture 1: <img>{image}</img>\n{question}"},
            {"from": "assistant", "value": answer}]},
        "r2gen": {"id": image, "report": answer, "image_path": [image]},
    }[form]  # fmt: skip


def draw(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8)
    Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC).save(path)


@pytest.mark.parametrize("form", ["alpaca", "query", "trl", "qwen"])
def test_other_tools_records_are_read(tmp_path, form):
    for split, start in (("train", 0), ("test", 2)):
        rows = [
            record(form, f"CheXpert/patient{start + n:05}/i.png", "Is there edema?", "No")
            for n in range(2)
        ]
        for n in range(2):
            draw(tmp_path / f"CheXpert/patient{start + n:05}/i.png", start + n)
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = audit_dataset(tmp_path)
    assert report.issues == (), report.to_text()
    assert (report.images, report.entries) == (4, 4)
    assert "patient-over-splits" not in report.limits  # the paths name the patients
    rows = [record(form, "CheXpert/patient00001/i.png", "Is there edema?", "")]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert {i.code for i in audit_dataset(tmp_path).issues} == {
        "empty-answer", "image-over-splits", "patient-over-splits",
    }  # fmt: skip


def test_r2gens_file_holds_all_splits(tmp_path):
    names = {"train": ["00000001_000.png", "00000002_000.png"], "test": ["00000003_000.png"]}
    whole = {
        split: [{**record("r2gen", name, "", "No effusion."), "split": split} for name in of_split]
        for split, of_split in names.items()
    }
    for seed, name in enumerate(n for part in names.values() for n in part):
        draw(tmp_path / name, seed)
    (tmp_path / "annotation.json").write_text(json.dumps(whole))
    report = audit_dataset(tmp_path)
    assert report.issues == (), report.to_text()
    assert report.entries == 3 and "patient-over-splits" not in report.limits
    whole["test"].append({**record("r2gen", "00000001_000.png", "", ""), "split": "test"})
    (tmp_path / "annotation.json").write_text(json.dumps(whole))
    found = {i.code for i in audit_dataset(tmp_path).issues}
    assert {"patient-over-splits", "image-over-splits", "empty-answer"} <= found


def test_folders_of_splits_are_splits(tmp_path):
    for number, split in enumerate(("train", "test")):
        draw(tmp_path / f"{number}.png", number)
        (tmp_path / split).mkdir()
        row = record("query", f"{number}.png", "What is shown?", "A chest.")
        (tmp_path / split / "data.jsonl").write_text(json.dumps({**row, "patient_id": "p1"}))
    found = [(i.code, i.split) for i in audit_dataset(tmp_path).issues]
    assert found == [("patient-over-splits", "train+test")]


def test_whole_paths_of_strangers_are_not_followed(tmp_path):
    """Only imaxray's own export may name images by whole paths."""
    draw(tmp_path / "elsewhere" / "a.png", 1)
    (tmp_path / "data").mkdir()
    row = record("query", str(tmp_path / "elsewhere" / "a.png"), "What is shown?", "A chest.")
    Path(tmp_path / "data" / "train.jsonl").write_text(json.dumps(row))
    [issue] = audit_dataset(tmp_path / "data").issues
    assert issue.code == "broken-image" and "leads out" in issue.message
