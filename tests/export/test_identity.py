"""Tests that a warm cache of a tool never returns the rows of another export of the same name.

LLaMA-Factory and ms-swift read their files with the builder ``json`` of ``datasets``, and TRL with
``parquet``. The cache key of these builders has the path of the file and the time of its last
change, so exports need no digest of their own. The tests with the tools themselves need
``make readers``.
"""

import pytest

from imaxray.export import ExportConfig, export_dataset

ANSWERS = {"one": "first", "two": "second", "three": "third"}
FILES = {
    "llamafactory": ("json", "train.jsonl"),
    "llava": ("json", "train.json"),
    "swift": ("json", "train.jsonl"),
    "trl": ("parquet", "train.parquet"),
}


def exported(small, form, answer, out):
    """Export the dataset with one more training entry, which has this answer."""
    small.rows = [row for row in small.rows if row[1] != "vqa-more"]
    small.add("b", "vqa-more", "Which?", answer)
    boxes = None if form in ("fiftyone", "croissant") else "percent"
    export_dataset(small.open(), form, out, ExportConfig(boxes=boxes))
    return out


def answers_in(text):
    return [answer for answer in ANSWERS.values() if answer in text]


@pytest.mark.parametrize("form", FILES)
def test_exports_of_one_name_and_rebuilt_exports_are_read_anew(small, tmp_path, form, monkeypatch):
    from datasets import load_dataset

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    builder, file = FILES[form]

    def read(folder):
        table = load_dataset(
            builder, data_files=str(folder / file), split="train", cache_dir=str(tmp_path / "cache")
        )
        return answers_in(str(table.data.to_pylist()))

    for name, answer in ANSWERS.items():
        exported(small, form, answer, tmp_path / name / "out")
    for _ in range(2):  # the second round finds a warm cache
        for name, answer in ANSWERS.items():
            assert read(tmp_path / name / "out") == [answer]
    exported(small, form, ANSWERS["two"], tmp_path / "one" / "out")
    assert read(tmp_path / "one" / "out") == [ANSWERS["two"]]


def test_croissant_exports_of_one_name_are_read_anew(small, tmp_path):
    import mlcroissant

    def read(folder):
        rows = mlcroissant.Dataset(folder / "croissant.json").records("entries_train")
        return answers_in(str([row["entries_train/target"] for row in rows]))

    for name, answer in ANSWERS.items():
        exported(small, "croissant", answer, tmp_path / name / "out")
    for name, answer in ANSWERS.items():
        assert read(tmp_path / name / "out") == [answer]
    exported(small, "croissant", ANSWERS["two"], tmp_path / "one" / "out")
    assert read(tmp_path / "one" / "out") == [ANSWERS["two"]]


@pytest.mark.parametrize("form", ["llamafactory", "swift"])
def test_the_tool_itself_reads_anew(small, tmp_path, read, form):
    """With the cache that the tool uses by default, in one home folder."""

    def seen(*folders):
        names = ["imaxray_train"] if form == "llamafactory" else []
        paths = [f if form == "llamafactory" else f / "train.jsonl" for f in folders]
        args = [part for path in paths for part in (path, *names)]
        return answers_in(str(read(form, *args, IMAXRAY_WARM_CACHE="1")))

    folders = {
        answer: exported(small, form, answer, tmp_path / name / "out")
        for name, answer in ANSWERS.items()
    }
    for _ in range(2):
        for answer, folder in folders.items():
            assert seen(folder) == [answer]
    exported(small, form, ANSWERS["two"], tmp_path / "one" / "out")
    assert seen(tmp_path / "one" / "out") == [ANSWERS["two"]]
