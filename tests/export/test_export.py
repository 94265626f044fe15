"""Tests the exported rows of each format, their order, images, left-out entries and the folder."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray._common.config import validated
from imaxray.boxes import PLACEHOLDER, find_convention
from imaxray.errors import ImaxrayError
from imaxray.export import ExportConfig, export_dataset, list_conventions, list_formats
from imaxray.export.conversation import ordered
from imaxray.geometry import CentreCrop, Letterbox, ScaledThenResized

OF_PIXELS = ("pixels", "qwen2.5-vl", "huatuogpt-vision-7b", "lingshu-7b")
CHATS = ("llamafactory", "swift", "trl", "llava")
REC = "Locate the effusion."
BOX_A, BOX_B = [20.0, 10.0, 100.0, 60.5], [120.0, 20.0, 180.0, 80.0]


def rows_of(folder, split="train"):
    """Rows of a split by their id, whatever the format."""
    if (path := folder / f"{split}.parquet").exists():
        rows = pq.read_table(path).to_pylist()
    elif (path := folder / f"{split}.json").exists():
        rows = json.loads(path.read_text())
    else:
        rows = [json.loads(line) for line in (folder / f"{split}.jsonl").read_bytes().splitlines()]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row for row in rows}


def boxes_of(form, name="unit"):
    return {} if form == "swift" else {"boxes": name}


def texts_of(row):
    """Questions and answers of a row, in their order, markers of images taken out."""
    turns = row.get("messages") or row.get("conversations") or row["prompt"] + row["completion"]
    found = []
    for turn in turns:
        content = turn.get("content", turn.get("value"))
        if not isinstance(content, str):
            content = "".join(block["text"] or "" for block in content)
        found.append(content.removeprefix("<image>").removeprefix("\n"))
    return list(zip(found[::2], found[1::2], strict=True))


def meta(split, image, patient, *entries):
    tasks = [entry.split("-")[0] for entry in entries]
    return {
        "image_id": f"x/{image}", "patient_id": f"x/{patient}", "split": split,
        "task": tasks[0] if len(set(tasks)) == 1 else None, "tasks": tasks,
        "entries": list(entries),
    }  # fmt: skip


def test_llamafactory_rows(small, tmp_path):
    export_dataset(small.open(), "llamafactory", tmp_path / "out", ExportConfig(boxes="unit"))
    row = rows_of(tmp_path / "out")["rec-1"]
    assert json.loads(row.pop("meta")) == meta("train", "a", "p1", "rec-1")
    assert row == {
        "id": "rec-1",
        "messages": [
            {"role": "user", "content": f"<image>\n{REC}"},
            {"role": "assistant", "content": "[0.10, 0.10, 0.50, 0.60] [0.60, 0.20, 0.90, 0.80]"},
        ],
        "images": [str(small.root / "a.png")],
    }
    info = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert info["imaxray_train"] == {
        "file_name": "train.jsonl",
        "formatting": "sharegpt",  # openai would put a system prompt before each conversation
        "columns": {"messages": "messages", "images": "images"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user",
                 "assistant_tag": "assistant", "system_tag": "system"},
    }  # fmt: skip
    assert set(info) == {"imaxray_train", "imaxray_test"}


def test_swift_rows(small, tmp_path):
    export_dataset(small.open(), "swift", tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    row = rows["rec-1"]
    assert json.loads(row.pop("meta")) == meta("train", "a", "p1", "rec-1")
    assert row == {
        "id": "rec-1",
        "messages": [
            {"role": "user", "content": f"<image>{REC}"},
            {"role": "assistant", "content": "<bbox> <bbox>"},
        ],
        "images": [str(small.root / "a.png")],
        "objects": {
            "ref": [], "bbox": [BOX_A, BOX_B], "bbox_type": "real", "image_id": [0, 0],
        },
    }  # fmt: skip
    empty = {"ref": [], "bbox": [], "bbox_type": "real", "image_id": []}
    assert rows["report-1"]["objects"] == empty  # never null
    text = (tmp_path / "out" / "train.jsonl").read_text()
    assert "[20.0,10.0,100.0,60.5]" in text  # floats, also where they are whole


def test_swift_with_a_convention_writes_boxes_as_text(small, tmp_path):
    """The way to a model whose own form swift does not write, such as MedGemma."""
    config = ExportConfig(boxes="medgemma", images="write")
    export_dataset(small.open(), "swift", tmp_path / "out", config)
    row = rows_of(tmp_path / "out")["reg-1"]
    assert '"box_2d": [' in row["messages"][0]["content"]
    assert row["objects"]["bbox"] == []


def test_trl_rows(small, tmp_path):
    data = small.open()
    export_dataset(data, "trl", tmp_path / "out", ExportConfig(boxes="unit"))
    row = rows_of(tmp_path / "out")["reg-1"]
    assert json.loads(row.pop("meta")) == meta("train", "a", "p1", "reg-1")
    assert row == {
        "id": "reg-1",
        "images": [{"bytes": None, "path": str(small.root / "a.png")}],
        "prompt": [{"role": "user", "content": [
            {"type": "image", "text": None},
            {"type": "text", "text": "Describe the region [0.10, 0.10, 0.50, 0.60]."},
        ]}],
        "completion": [{"role": "assistant", "content": [{"type": "text", "text": "heart"}]}],
    }  # fmt: skip
    export_dataset(
        data, "trl", tmp_path / "image", ExportConfig(boxes="unit", per="image", images="copy")
    )
    row = rows_of(tmp_path / "image")["x/a"]
    assert row["images"] == [{"bytes": (small.root / "a.png").read_bytes(), "path": "a.png"}]
    assert [m["role"] for m in row["messages"]] == ["user", "assistant"] * 3
    assert [block["type"] for m in row["messages"] for block in m["content"]].count("image") == 1


def test_llava_rows(small, tmp_path):
    export_dataset(small.open(), "llava", tmp_path / "out", ExportConfig(boxes="internvl"))
    row = rows_of(tmp_path / "out")["rec-1"]
    assert json.loads(row.pop("meta")) == meta("train", "a", "p1", "rec-1")
    assert row == {
        "id": "rec-1",
        "image": str(small.root / "a.png"),
        "conversations": [
            {"from": "human", "value": f"<image>\n{REC}"},
            {"from": "gpt", "value": "<box>[[100, 100, 500, 605], [600, 200, 900, 800]]</box>"},
        ],
    }


def test_fiftyone_samples(small, tmp_path):
    small.facts.append(("c", {"kind": "region", "name": "bad", "boxes": [[5.0, 5.0, 300.0, 9.0]]}))
    report = export_dataset(small.open(), "fiftyone", tmp_path / "out", ExportConfig(images="link"))
    samples = json.loads((tmp_path / "out" / "samples.json").read_text())["samples"]
    a, _, c = samples
    assert a["filepath"] == "images/x/a.png" and (tmp_path / "out" / a["filepath"]).is_symlink()
    assert a["tags"] == ["train"] and a["metadata"]["width"] == 200
    given = [a[f]["classifications"][0]["label"] for f in ("findings", "negatives", "uncertain")]
    assert given == ["Edema", "Pneumothorax", "Pneumonia"]
    assert c["findings"] is None  # unknown is not negative
    heart = a["regions"]["detections"][0]
    assert (heart["label"], heart["phrase"], heart["origin"]) == ("heart", "big heart", "human")
    assert heart["bounding_box"] == pytest.approx([0.1, 0.1, 0.4, 0.505])
    assert len(a["regions"]["detections"]) == 2
    assert (a["edema"]["label"], c["ctr"], c["report_findings"]) == (
        "interstitial edema", 0.52, "Clear.",
    )  # fmt: skip
    assert a["tasks"] == ["rec", "reg", "vqa"] and a["entries"][0]["target"] == "<box> <box>"
    assert len({tuple(sample) for sample in samples}) == 1  # the same keys in each
    assert report.left_out == {"box-frame": 1}
    line = json.loads((tmp_path / "out" / "left_out.jsonl").read_text())
    assert line["id"] == "x:facts.csv:8"


@pytest.mark.parametrize("form", CHATS)
@pytest.mark.parametrize("per", ["entry", "image"])
@pytest.mark.parametrize("name", list_conventions())
def test_boxes_by_every_convention_come_back(small, tmp_path, form, per, name):
    convention = find_convention(name)
    padded = isinstance(convention.geometry, Letterbox) and form != "llava"
    cropped = isinstance(convention.geometry, CentreCrop)  # 100 by 100 in the middle
    if cropped:
        small.rows[0][5] = [[60.0, 10.0, 100.0, 60.5], [120.0, 20.0, 140.0, 80.0]]
        small.rows[1][5] = small.rows[0][5][:1]
    given = ExportConfig(boxes=name, per=per, images="write" if padded else "path")
    export_dataset(small.open(), form, tmp_path / "out", given)
    step = [s / 2 + 1e-6 for s in convention.resolution(200, 100)] * 2
    turns = [turn for row in rows_of(tmp_path / "out").values() for turn in texts_of(row)]
    answer = next(a for q, a in turns if q == REC)
    text, found = convention.extract(answer, 200, 100)
    assert text.count(PLACEHOLDER) == 2
    wanted = small.rows[0][5] if cropped else [BOX_A, BOX_B]
    frame = ScaledThenResized() if form == "llamafactory" and name in OF_PIXELS else None
    if frame is not None:  # the tool's own frame
        seen = convention.seen_through(frame)
        text, found = seen.extract(answer, 200, 100)
        step = [s / 2 + 1e-6 for s in seen.resolution(200, 100)] * 2
    assert (np.abs(np.subtract(found, wanted)) <= step).all()


def test_pixels_depend_on_the_processors_areas(small, tmp_path):
    """Qwen2.5-VL: 200 by 100 becomes 196 by 112, or 112 by 56 where 7,000 pixels are the most."""
    data = small.open()
    export_dataset(data, "llava", tmp_path / "default", ExportConfig(boxes="qwen2.5-vl"))
    export_dataset(
        data, "llava", tmp_path / "small", ExportConfig(boxes="qwen2.5-vl", max_pixels=7000)
    )
    found = [
        rows_of(tmp_path / name)["rec-1"]["conversations"][1]["value"].split("]")[0]
        for name in ("default", "small")
    ]
    assert found == ["[20, 11, 98, 68", "[11, 6, 56, 34"]
    options = json.loads((tmp_path / "small" / "export.json").read_text())["options"]
    assert options["convention"]["geometry"]["max_pixels"] == 7000


@pytest.mark.parametrize("form", CHATS)
def test_one_conversation_an_image(small, tmp_path, form):
    export_dataset(
        small.open(), form, tmp_path / "out", ExportConfig(per="image", **boxes_of(form))
    )
    rows = rows_of(tmp_path / "out")
    assert set(rows) == {"x/a", "x/b"}
    told = json.loads(rows["x/a"]["meta"])
    assert sorted(told["entries"]) == ["rec-1", "reg-1", "vqa-1"]
    prompts = {"rec": "Locate", "reg": "Describe", "vqa": "Größe"}
    assert [prompts[t] for t in told["tasks"]] == [q.split()[0] for q, _ in texts_of(rows["x/a"])]


@pytest.mark.parametrize("form", ["llamafactory", "swift", "llava"])
@pytest.mark.parametrize("per", ["entry", "image"])
def test_as_many_image_words_as_images(small, tmp_path, form, per):
    export_dataset(small.open(), form, tmp_path / "out", ExportConfig(per=per, **boxes_of(form)))
    for row in rows_of(tmp_path / "out").values():
        turns = row.get("messages") or row["conversations"]
        contents = [turn.get("content", turn.get("value")) for turn in turns]
        assert contents[0].startswith("<image>") and "".join(contents).count("<image>") == 1


@pytest.mark.parametrize("form", CHATS)
def test_unicode_survives(small, tmp_path, form):
    export_dataset(small.open(), form, tmp_path / "out", ExportConfig(**boxes_of(form)))
    asked = [("Größe normal? ≥ 0,5 – 是", "ja, µ\u2028§ “so”")]
    assert texts_of(rows_of(tmp_path / "out")["vqa-1"]) == asked


@pytest.mark.parametrize("form", CHATS)
def test_every_row_has_the_same_keys(small, tmp_path, form):
    export_dataset(small.open(), form, tmp_path / "out", ExportConfig(**boxes_of(form)))
    rows = [r for s in ("train", "test") for r in rows_of(tmp_path / "out", s).values()]
    assert len({tuple(row) for row in rows}) == 1
    assert all(isinstance(row["meta"], str) for row in rows)


def test_long_conversations_go_on_in_further_rows(small, tmp_path):
    for k in range(5):
        small.add("b", f"vqa-b{k}", f"Question {k}?", "yes")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    data = small.open()
    export_dataset(data, "llava", whole, ExportConfig(boxes="unit", per="image"))
    export_dataset(data, "llava", parts, ExportConfig(boxes="unit", per="image", max_turns=4))
    rows = rows_of(parts)
    assert set(rows) == {"x/a", "x/b", "x/b#2"}
    assert [len(texts_of(rows[name])) for name in ("x/b", "x/b#2")] == [4, 2]
    assert texts_of(rows["x/b"]) + texts_of(rows["x/b#2"]) == texts_of(rows_of(whole)["x/b"])
    assert all(row["conversations"][0]["value"].startswith("<image>\n") for row in rows.values())


def test_order_is_the_seeds_and_nothing_elses(small, tmp_path):
    for k in range(30):
        small.add("b", f"vqa-b{k}", f"Question {k}?", "yes")
    data = small.open()
    orders = {}
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        export_dataset(
            data, "llava", tmp_path / name, ExportConfig(boxes="unit", per="image", seed=seed)
        )
        orders[name] = [q for q, _ in texts_of(rows_of(tmp_path / name)["x/b"])]
    assert orders["one"] == orders["again"] != orders["two"]
    assert sorted(orders["one"]) == sorted(orders["two"])
    assert orders["one"] != sorted(orders["one"])
    small.rows = [row for row in small.rows if row[1] != "vqa-b3"]
    export_dataset(
        small.open(), "llava", tmp_path / "fewer", ExportConfig(boxes="unit", per="image", seed=1)
    )
    fewer = [q for q, _ in texts_of(rows_of(tmp_path / "fewer")["x/b"])]
    assert fewer == [q for q in orders["one"] if q != "Question 3?"]


@given(
    images=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40),
    seed=st.integers(0, 2**40),
    most=st.none() | st.integers(1, 5),
)
def test_every_entry_is_written_once_and_rows_hold_together(images, seed, most):
    import polars as pl

    entries = pl.DataFrame(
        {
            "split": "train", "image_id": images, "patient_id": "p", "named": "n", "width": 1,
            "height": 1, "entry_id": [f"e{k}" for k in range(len(images))], "task": "vqa",
            "prompt": "q", "target": "a",
            "boxes": [[[0.0, 0.0, 1.0, 1.0]] if k % 3 == 2 else [] for k in range(len(images))],
        }
    )  # fmt: skip
    for per in ("entry", "image"):
        done = ordered(entries, per=per, seed=seed, max_turns=most, boxes_first=True)
        assert sorted(done["entry_id"]) == sorted(entries["entry_id"])
        runs = done["row"].rle().struct.field("value")
        assert runs.n_unique() == runs.len()  # a row is in one piece
        assert done.group_by("row").agg(pl.col("image_id").n_unique())["image_id"].max() == 1
        if per == "image" and most:
            assert done["row"].value_counts()["count"].max() <= most
        if entries["boxes"].list.len().sum():
            first = done.filter(pl.col("row") == done["row"][0])
            assert first["boxes"].list.len().sum() > 0


def test_the_first_row_of_swift_has_a_box(small, tmp_path):
    """Readers take a column's type from the first block of rows: empty lists alone have none."""
    small.rows = [row for row in small.rows if row[1] != "reg-1"]
    for k in range(60):
        small.add("b", f"vqa-b{k}", f"Question {k}?", "yes")
    data = small.open()
    for seed in range(4):
        export_dataset(data, "swift", tmp_path / "out", ExportConfig(seed=seed))
        assert next(iter(rows_of(tmp_path / "out").values()))["id"] == "rec-1"


@pytest.mark.parametrize(
    ("code", "prompt", "target", "boxes"),
    [
        ("reserved-text", "What is <image>?", "a", []),
        ("special-token", "What is <|im_end|>?", "a", []),
        ("special-token", "What is it?", "a</s> b", []),
        ("empty-text", "Is it?", " \n", []),
        ("empty-text", None, "yes", []),
        ("box-count", "Where is <box>?", "here", []),
        ("box-count", "Where?", "here", [BOX_A]),
        ("box-frame", "Where?", "<box>", [[20.0, 10.0, 200.1, 60.0]]),
        ("box-frame", "Where?", "<box>", [[20.0, 10.0, 20.0, 60.0]]),
        ("box-frame", "Where?", "<box>", [[20.0, 10.0, float("nan"), 60.0]]),
        ("box-frame", "Where?", "<box>", [[20.0, 10.0, 60.0]]),
        ("box-frame", "Where?", "<box> <box>", [BOX_A, [-1.0, 0.0, 5.0, 5.0]]),
    ],
)
def test_what_cannot_be_said_is_counted(small, tmp_path, code, prompt, target, boxes):
    small.add("b", "vqa-bad", prompt, target, boxes)
    for form in CHATS:
        report = export_dataset(small.open(), form, tmp_path / form, ExportConfig(**boxes_of(form)))
        assert report.left_out == {code: 1}
        line = json.loads((tmp_path / form / "left_out.jsonl").read_text())
        assert line["id"] == "vqa-bad" and line["code"] == code and line["reason"]
        assert "vqa-bad" not in rows_of(tmp_path / form)
        assert report.counts["train"]["entries"] == 4


def test_words_that_mark_boxes_elsewhere_are_no_boxes(small, tmp_path):
    """Rows whose objects are null would have LLaMA-Factory train on the very word ``<bbox>``."""
    small.add("b", "vqa-bad", "What is <bbox>?", "a <ref-object>")
    report = export_dataset(small.open(), "swift", tmp_path / "swift")
    assert report.left_out == {"reserved-text": 1}
    export_dataset(small.open(), "llamafactory", tmp_path / "lf", ExportConfig(boxes="unit"))
    rows = rows_of(tmp_path / "lf")
    assert "<bbox>" not in json.dumps([r for r in rows.values() if r["id"] != "vqa-bad"])
    assert rows_of(tmp_path / "swift")["rec-1"]["objects"] is not None


def spoil_missing(small):
    (small.root / "b.png").unlink()


def spoil_dicom(small):
    small.images["b"]["path"] = "b.dcm"


def spoil_damaged(small):
    (small.root / "b.png").write_bytes(b"no image")


def spoil_size(small):
    small.images["b"]["width"] = 201


def spoil_path(small):
    small.images["b"]["path"] = "../release/b.png"


def spoil_unknown(small):
    small.rows[3][0] = "z"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (spoil_missing, "image-missing"),
        (spoil_dicom, "image-missing"),
        (spoil_damaged, "image-format"),
        (spoil_size, "image-size"),
        (spoil_path, "image-path"),
        (spoil_unknown, "no-image"),
    ],
)
def test_images_that_no_tool_reads_are_counted(small, tmp_path, spoil, code):
    spoil(small)
    report = export_dataset(small.open(), "llava", tmp_path / "out", ExportConfig(boxes="unit"))
    assert report.left_out == {code: 1} and "report-1" not in rows_of(tmp_path / "out")


def test_sizes_that_the_table_lacks_come_from_the_files(small, tmp_path):
    small.images["a"] |= {"width": None, "height": None}
    data = small.open()
    assert (
        export_dataset(data, "llava", tmp_path / "out", ExportConfig(boxes="unit")).left_out == {}
    )
    blind = export_dataset(
        data, "llava", tmp_path / "out", ExportConfig(boxes="unit", headers=False)
    )
    assert blind.left_out == {"no-size": 2}


@pytest.mark.parametrize("how", ["link", "copy"])
@pytest.mark.parametrize("form", ["llamafactory", "swift", "llava", "fiftyone"])
def test_images_linked_and_copied(small, tmp_path, form, how):
    given = {} if form in ("swift", "fiftyone") else {"boxes": "unit"}
    out = tmp_path / "out"
    report = export_dataset(
        small.open(), form, out, ExportConfig(images=how, splits=["train"], **given)
    )
    held = sorted((out / "images").rglob("*.png"))
    assert [path.relative_to(out).as_posix() for path in held] == [
        "images/x/a.png", "images/x/b.png",
    ]  # fmt: skip
    for path in held:  # of the chosen split, and no others
        assert path.is_symlink() == (how == "link")
        assert path.read_bytes() == (small.root / path.name).read_bytes()
    assert ("images/x/a.png" in report.files) == (how == "copy")
    assert str(tmp_path) not in (out / next(iter(sorted(report.files)))).read_text(errors="ignore")


@pytest.mark.parametrize("how", ["link", "copy"])
@pytest.mark.parametrize("source", ["../..", "..", "/{}", "a/../../..", "."])
def test_a_source_that_is_a_path_places_nothing(small, tmp_path, how, source):
    small.source = source.format(tmp_path / "elsewhere")
    before = {path for path in tmp_path.rglob("*") if "data" not in path.parts}
    data = small.open()
    report = export_dataset(
        data, "llava", tmp_path / "x/y/out", ExportConfig(boxes="unit", images=how)
    )
    assert report.left_out == {"image-path": 5}
    after = {path for path in tmp_path.rglob("*") if not {"data", "x"} & set(path.parts)}
    assert after == before and not list((tmp_path / "x").rglob("*.png"))


@pytest.mark.parametrize("how", ["path", "link", "copy"])
def test_a_link_out_of_the_release_is_left_out(small, tmp_path, how):
    (small.root / "a.png").rename(tmp_path / "secret.png")
    (small.root / "a.png").symlink_to(tmp_path / "secret.png")
    export_dataset(small.open(), "swift", tmp_path / "out", ExportConfig(images=how))
    left = [json.loads(line) for line in (tmp_path / "out/left_out.jsonl").open()]
    assert {(row["id"], row["code"]) for row in left} == {
        (entry, "image-path") for entry in ("rec-1", "reg-1", "vqa-1")
    }


def test_a_folder_in_the_place_of_an_image_leads_nowhere(small, tmp_path):
    """Without headers nobody sees that ``a.png`` is a folder; another image would go through it."""
    (small.root / "a.png").unlink()
    (small.root / "a.png").mkdir()
    (small.root / "a.png" / "b.png").write_bytes((small.root / "b.png").read_bytes())
    small.images["b"]["path"] = "a.png/b.png"
    config = ExportConfig(images="link", headers=False)
    with pytest.raises(ImaxrayError, match="leads out of it through a link"):
        export_dataset(small.open(), "swift", tmp_path / "out", config)
    assert not (small.root / "a.png" / "b.png").is_symlink()


@pytest.mark.parametrize("form", list_formats())
def test_no_image_is_copied_unless_asked_for(small, tmp_path, form):
    given = {"boxes": "unit"} if form in ("llamafactory", "trl", "llava") else {}
    export_dataset(small.open(), form, tmp_path / "out", ExportConfig(**given))
    pixels = (small.root / "a.png").read_bytes()[50:200]
    for path in (tmp_path / "out").rglob("*"):
        assert path.suffix != ".png" and (path.is_dir() or pixels not in path.read_bytes())


@pytest.mark.parametrize("form", list_formats())
def test_same_input_same_bytes_and_a_manifest_of_them(small, tmp_path, form):
    given = {"boxes": "unit"} if form in ("llamafactory", "trl", "llava") else {}
    data, out = small.open(), tmp_path / "out"
    first = export_dataset(data, form, out, ExportConfig(**given))
    names = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert names == set(first.files) | {"export.json", ".imaxray.json"}
    for name, digest in first.files.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    manifest = json.loads((out / "export.json").read_text())
    assert manifest["files"] == first.files and manifest["format"] == form
    assert manifest["dataset"]["sha256"] == data.sha256
    assert manifest["counts"]["train"] == {"rows": 2 if form == "fiftyone" else 4, "entries": 4,
                                           "images": 2}  # fmt: skip
    again = export_dataset(small.folder, form, tmp_path / "again", ExportConfig(**given))
    assert again.files == first.files
    assert (tmp_path / "again" / "export.json").read_bytes() == (out / "export.json").read_bytes()


def test_a_failure_leaves_the_earlier_export(small, tmp_path, monkeypatch):
    data, out = small.open(), tmp_path / "out"
    export_dataset(data, "llava", out, ExportConfig(boxes="unit"))
    before = {p.name: p.read_bytes() for p in out.iterdir()}

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("imaxray.export.writer.write_manifest", fail)
    with pytest.raises(KeyboardInterrupt):
        export_dataset(data, "llava", out, ExportConfig(boxes="percent"))
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_what_a_killed_run_left_is_cleared_away(small, tmp_path):
    data = small.open()
    export_dataset(data, "llava", tmp_path / "clean", ExportConfig(boxes="unit"))
    left = tmp_path / f".out.{0:032x}.part"
    (left / "images").mkdir(parents=True)
    (left / "train.json").write_text("[half")
    (left / "stray").write_text("")
    export_dataset(data, "llava", tmp_path / "out", ExportConfig(boxes="unit"))
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "train.json", "test.json", "settings.yaml", "export.json", "left_out.jsonl",
        ".imaxray.json",
    }  # fmt: skip
    assert not left.exists()


def test_the_command_line(small, tmp_path):
    small.add("b", "vqa-bad", "What is <image>?", "a")
    small.open()

    def run(*args):
        call = [sys.executable, "-m", "imaxray.cli", "export", str(small.folder), *map(str, args)]
        return subprocess.run(call, capture_output=True, text=True, check=False)

    out = tmp_path / "out"
    given = ("--out", out, "--boxes", "internvl", "--per", "image", "--split", "train")
    done = run("--format", "llava", *given, "--images", "link", "--max-turns", 2)
    assert done.returncode == 0 and "reserved-text" in done.stdout
    config = ExportConfig(
        boxes="internvl", per="image", splits=["train"], images="link", max_turns=2
    )
    report = export_dataset(small.folder, "llava", tmp_path / "again", config)
    assert json.loads((out / "export.json").read_text())["files"] == report.files
    done = run("--format", "lava", "--out", tmp_path / "no")
    assert done.returncode == 2 and done.stderr.startswith("imaxray: Expected the format as one")
    assert "Traceback" not in done.stderr


def test_other_peoples_files_are_not_replaced(small, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(ImaxrayError, match="holds other files"):
        export_dataset(small.open(), "swift", tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("form", "options", "words"),
    [
        ("axolotl", {}, "the format as one of llamafactory"),
        ("llava", {}, "no convention is given"),
        ("llava", {"boxes": "qwen"}, "a box convention, one of percent"),
        ("llava", {"boxes": "unit", "max_pixels": 9}, "does not depend on them"),
        ("llava", {"boxes": "pixels", "max_pixels": 9}, "0 < min_pixels <= max_pixels"),
        ("swift", {"max_pixels": 9}, "boxes is not given"),
        ("swift", {"per": "study"}, "per, but got 'study': it should be 'entry' or 'image'"),
        ("swift", {"splits": ["dev"]}, "should be 'train', 'val' or 'test'"),
        ("swift", {"splits": ["val"]}, "there are none"),
        ("swift", {"images": "move"}, "should be 'path', 'link', 'copy' or 'write'"),
        ("swift", {"max_turns": 3}, "with per image"),
        ("swift", {"per": "image", "max_turns": 0}, "greater than or equal to 1"),
        ("trl", {"boxes": "unit", "images": "link"}, "path or copy with trl"),
        ("fiftyone", {"boxes": "unit"}, "fiftyone without boxes"),
        ("croissant", {"splits": ["train"]}, "croissant without splits"),
        ("croissant", {"images": "copy"}, "croissant without images"),
    ],
)
def test_mistakes_are_one_sentence(small, tmp_path, form, options, words):
    with pytest.raises(ImaxrayError, match=words) as caught:
        export_dataset(small.open(), form, tmp_path / "out", validated(ExportConfig, options))
    assert str(caught.value).startswith("Expected ") and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_release_whose_folder_is_unknown_is_named(small, tmp_path):
    small.open()
    (small.folder / "roots.json").unlink()
    with pytest.raises(ImaxrayError, match=r"does not name x; add"):
        export_dataset(small.folder, "swift", tmp_path / "out")


def test_the_audit_reads_what_the_export_writes(small, tmp_path):
    from imaxray.audit import audit_dataset

    for form in ("llamafactory", "swift", "llava"):
        out = tmp_path / form
        export_dataset(small.open(), form, out, ExportConfig(images="link", **boxes_of(form)))
        files = [p for p in out.iterdir() if p.stem in ("train", "test")]
        report = audit_dataset(sorted(files))
        assert report.clean, report.to_text()
        assert audit_dataset([out]).clean
