"""Tests that the reader of each tool loads the export that was made for it.

TRL and mlcroissant live beside the project. The others ask for other versions of the same packages,
so ``make readers`` puts each into a folder of its own and a script in ``readers/`` prints what its
reader saw; without those folders their tests are skipped.
"""

import json

import numpy as np
import pytest

from imaxray.boxes import find_convention
from imaxray.export import ExportConfig, export_dataset
from imaxray.schema import IS_PSEUDO

BOXES = [[20.0, 10.0, 100.0, 60.5], [120.0, 20.0, 180.0, 80.0]]
ENTRIES = {"rec-1", "reg-1", "vqa-1", "report-1"}


def pairs(row):
    """Questions and answers of a row that a reader saw."""
    turns = row["turns"]
    assert [t["role"] for t in turns] == ["user", "assistant"] * (len(turns) // 2)
    return [(q["content"], a["content"]) for q, a in zip(turns[::2], turns[1::2], strict=True)]


def as_written(data, convention, image):
    """Questions and answers of a dataset's train entries, boxes in a convention."""
    rows = data.tables.split("train").iter_rows(named=True)
    return sorted(
        (image + convention.fill(e["prompt"], e["boxes"][: e["prompt"].count("<box>")], 200, 100),
         convention.fill(e["target"], e["boxes"][e["prompt"].count("<box>"):], 200, 100))
        for e in rows
    )  # fmt: skip


def test_llamafactory_reads_messages_and_llava_json(small, tmp_path, read):
    data = small.open()
    for name, form, options in (
        ("entries", "llamafactory", {"boxes": "qwen2.5-vl"}),
        ("linked", "llamafactory", {"boxes": "qwen2.5-vl", "images": "link"}),
        ("turns", "llamafactory", {"boxes": "qwen2.5-vl", "per": "image"}),
        ("llava", "llava", {"boxes": "qwen2.5-vl", "images": "link"}),
    ):
        export_dataset(data, form, tmp_path / name, ExportConfig(**options))
    # what a user writes to have it read LLaVA JSON
    foreign = {"imaxray_train": {
        "file_name": "train.json", "formatting": "sharegpt",
        "columns": {"messages": "conversations", "images": "image"},
    }}  # fmt: skip
    (tmp_path / "llava" / "dataset_info.json").write_text(json.dumps(foreign))
    names = ("entries", "linked", "llava", "turns")
    rows = read("llamafactory", *(a for n in names for a in (tmp_path / n, "imaxray_train")))
    assert len(rows) == 3 * 4 + 2
    written = as_written(data, find_convention("qwen2.5-vl"), "<image>\n")
    for k, folder in enumerate(
        (small.root, tmp_path / "linked/images/x", tmp_path / "llava/images/x")
    ):
        some = rows[4 * k : 4 * k + 4]
        assert sorted(pairs(r)[0] for r in some) == written
        assert {r["images"][0] for r in some} == {str(folder / f"{n}.png") for n in "ab"}
    assert sorted(len(pairs(r)) for r in rows[12:]) == [1, 3]
    assert all(r["sizes"] == [[200, 100]] and r["system"] == "" for r in rows)


def test_swift_reads_objects_and_llava_json(small, tmp_path, read):
    for k in range(50):
        small.add("b", f"vqa-b{k}", f"Question {k}?", "yes")
    data = small.open()
    export_dataset(data, "swift", tmp_path / "out")
    export_dataset(data, "swift", tmp_path / "turns", ExportConfig(per="image"))
    export_dataset(data, "llava", tmp_path / "llava", ExportConfig(boxes="internvl", images="link"))
    files = [tmp_path / name for name in ("out/train.jsonl", "turns/train.jsonl")]
    rows = read(
        "swift", *files, tmp_path / "llava" / "train.json", ROOT_IMAGE_DIR=str(tmp_path / "llava")
    )
    rows, foreign = rows[:56], rows[56:]
    single, turns = rows[:-2], rows[-2:]
    assert len(single) == 54 and sorted(len(pairs(r)) for r in turns) == [3, 51]
    rec = next(r for r in single if pairs(r)[0][1] == "<bbox> <bbox>")
    assert pairs(rec)[0][0] == "<image>Locate the effusion."
    scaled = np.multiply(BOXES, 1000 / np.array([200, 100] * 2)).round()
    assert rec["boxes"] == scaled.tolist() and rec["sizes"] == [[200, 100]]
    assert all(
        len(r["boxes"]) == sum(t["content"].count("<bbox>") for t in r["turns"]) for r in rows
    )
    assert sorted(pairs(r)[0] for r in foreign) == as_written(
        data, find_convention("internvl"), "<image>\n"
    )
    assert all(r["sizes"] == [[200, 100]] for r in foreign)


@pytest.mark.parametrize("how", ["path", "copy"])
@pytest.mark.parametrize("per", ["entry", "image"])
def test_trl_reads_and_collates(small, tmp_path, per, how):
    """Through ``datasets`` and TRL's own collator, with the processor of the tiny model."""
    from datasets import load_dataset
    from PIL import Image
    from trl.data_utils import prepare_multimodal_messages
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    from imaxray.models import PhantomConfig, phantom

    data = small.open()
    export_dataset(
        data, "trl", tmp_path / "out", ExportConfig(boxes="percent", per=per, images=how)
    )
    if how == "copy":  # nothing but the file is needed
        for name in "abc":
            (small.root / f"{name}.png").rename(tmp_path / f"{name}.png")
    rows = load_dataset(
        "parquet", data_files=str(tmp_path / "out" / "train.parquet"), split="train",
        cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    examples = list(rows)
    for row in examples:
        (image,) = row["images"]
        assert isinstance(image, Image.Image) and image.size == (200, 100)
        turns = row.get("prompt", row.get("messages"))
        blocks = [
            b for m in prepare_multimodal_messages(turns, row["images"]) for b in m["content"]
        ]
        assert [b["image"] for b in blocks if b["type"] == "image"] == [image]
        assert "<image>" not in "".join(b["text"] or "" for b in blocks)
    shape = PhantomConfig(image_size=32, patch_size=16, width=32, vision_layers=1, vocabulary=300)
    corpus = [e["prompt"] + e["target"] for e in data.tables.entries.iter_rows(named=True)] * 5
    chat = phantom.build(shape, corpus, seed=0)
    collator = DataCollatorForVisionLanguageModeling(
        chat.processor, completion_only_loss=per == "entry"
    )
    answers = [_answers(row) for row in examples]
    batch = collator(examples)
    assert batch["pixel_values"].shape[0] == len(answers)
    for labels, answer in zip(batch["labels"], answers, strict=True):
        text = chat.decode(labels[labels >= 0].tolist())
        assert all(part in text for part in _plain(chat, answer))
        if per == "entry":
            assert text == _plain(chat, answer)[0]


def _answers(row):
    turns = row.get("completion", row.get("messages"))
    return [m["content"][0]["text"] for m in turns if m["role"] == "assistant"]


def _plain(chat, answers):
    """Texts as the small vocabulary has them."""
    return [chat.decode(chat.tokenizer(a, add_special_tokens=False)["input_ids"]) for a in answers]


def test_fiftyone_imports_samples(small, tmp_path, read):
    for how in ("path", "copy"):
        export_dataset(small.open(), "fiftyone", tmp_path / how, ExportConfig(images=how))
    seen = read("fiftyone", tmp_path / "path", tmp_path / "copy")
    for how, rows in (("path", seen[:3]), ("copy", seen[3:])):
        folder = small.root if how == "path" else tmp_path / how / "images" / "x"
        assert [r["filepath"] for r in rows] == [str(folder / f"{n}.png") for n in "abc"]
        assert all(r["size"] == [200, 100] for r in rows)
        first = rows[0]["fields"]
        assert first["tags"] == ["train"] and first["metadata"]["width"] == 200
        found = first["regions"]["detections"]
        assert [d["label"] for d in found] == ["heart", "heart"]
        assert found[0]["bounding_box"] == pytest.approx([0.1, 0.1, 0.4, 0.505])
        assert first["negatives"]["classifications"][0]["label"] == "Pneumothorax"
        assert rows[2]["fields"]["ctr"] == 0.52 and rows[2]["fields"]["findings"] is None


def test_mlcroissant_validates_and_reads_every_record(small, tmp_path):
    import mlcroissant

    data = small.open()
    export_dataset(data, "croissant", tmp_path / "out")
    described = mlcroissant.Dataset(tmp_path / "out" / "croissant.json")
    assert not described.metadata.ctx.issues.errors
    assert described.metadata.ctx.issues.warnings == {
        '[Metadata(imaxray-catalog)] Property "https://schema.org/datePublished" is recommended, '
        "but does not exist."
    }
    names = [record_set.name for record_set in described.metadata.record_sets]
    assert names == ["images", "annotations", "entries_train", "entries_test"]
    rows = {
        name: [{k.split("/")[1]: v for k, v in r.items()} for r in described.records(name)]
        for name in names
    }
    assert [r["image_id"] for r in rows["images"]] == [b"x/a", b"x/b", b"x/c"]
    assert {r["entry_id"].decode() for r in rows["entries_train"]} == ENTRIES
    rec = next(r for r in rows["entries_train"] if r["entry_id"] == b"rec-1")
    assert np.asarray(rec["boxes"]).reshape(-1, 4).tolist() == BOXES
    assert len(rows["annotations"]) == data.tables.annotations.height
    tables = (data.tables.images, data.tables.annotations, data.tables.entries)
    columns = {c for t in tables for c in t.columns} - {IS_PSEUDO}  # in memory only
    assert columns == {c for table in rows.values() for c in table[0]}
