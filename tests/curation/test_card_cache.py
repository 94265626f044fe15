"""Tests that one warm cache of ``datasets`` returns the rows of the folder that is asked for."""

import shutil

import polars as pl
import pytest
import yaml

from imaxray.curation import Tables, open_dataset, write_dataset
from imaxray.schema import ANNOTATIONS, ENTRIES, IMAGES, REJECTS, conform
from imaxray.sources import ReleaseFile


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def written(folder, rows, answer="yes"):
    """Write a dataset of so many training entries, and one test entry, of one image."""
    image = {"image_id": "x/a", "patient_id": "x/p", "split": "train", "source": "x",
             "path": "a.png", "width": 20, "height": 10, "view": "PA", "file": "l.csv",
             "row": 1}  # fmt: skip
    entry = {"image_id": "x/a", "patient_id": "x/p", "task": "vqa", "prompt": "Clear?",
             "target": answer, "answer": "null", "template": "vqa.closed.0"}  # fmt: skip
    fact = {"image_id": "x/a", "kind": "label", "name": "Edema", "value": 1.0, "origin": "human",
            "quality": "expert", "source": "x", "file": "l.csv", "row": 1}  # fmt: skip
    reject = {"source": "x", "file": "l.csv", "key": "k", "code": "c", "message": answer}
    other = {"image_id": "x/b", "patient_id": "x/q", "split": "test"}
    tables = Tables(
        conform(pl.DataFrame([image, image | other]), IMAGES),
        conform(pl.DataFrame([fact] * rows), ANNOTATIONS),
        conform(
            pl.DataFrame(
                [
                    *(entry | {"entry_id": f"vqa-{k}", "split": "train"} for k in range(rows)),
                    entry | other | {"entry_id": "vqa-t"},
                ]
            ),
            ENTRIES,
        ),
        conform(pl.DataFrame([reject | {"row": k} for k in range(rows)]), REJECTS),
        files=(ReleaseFile("ms-cxr", "l.csv", 1, "0" * 64),),
        roots={"x": folder.parent},
    )
    write_dataset(tables, folder, config={}, seed=0)
    return open_dataset(folder)


def loaded(folder, cache, config="entries"):
    from datasets import load_dataset

    return load_dataset(str(folder), config, split="train", cache_dir=str(cache))


@pytest.mark.parametrize("config", ["entries", "annotations", "rejects"])
def test_three_folders_of_one_name_have_their_own_rows(tmp_path, config):
    sizes = {"a": 3, "b": 5, "c": 7}
    for name, rows in sizes.items():
        written(tmp_path / name / "imax", rows)
    for _ in range(2):  # the second round finds a warm cache
        for name, rows in sizes.items():
            assert loaded(tmp_path / name / "imax", tmp_path / "cache", config).num_rows == rows


def test_a_rebuilt_or_moved_folder_has_its_new_rows(tmp_path):
    folder, cache = tmp_path / "imax", tmp_path / "cache"
    for rows, answer in ((3, "yes"), (5, "yes"), (5, "no"), (3, "yes")):
        written(folder, rows, answer)
        found = loaded(folder, cache)
        assert found["target"] == [answer] * rows
    shutil.move(folder, tmp_path / "other")
    written(folder, 2)
    assert loaded(folder, cache).num_rows == 2
    assert loaded(tmp_path / "other", cache).num_rows == 3


def test_the_working_directory_does_not_matter(tmp_path, monkeypatch):
    for name, rows in (("a", 3), ("b", 5)):
        written(tmp_path / name / "imax", rows)
        monkeypatch.chdir(tmp_path / name)
        assert loaded("imax", tmp_path / "cache").num_rows == rows


def test_the_card_states_one_digest_of_the_tables_and_is_verified_itself(tmp_path):
    def front(data):
        return yaml.safe_load((data.folder / "README.md").read_text().split("---")[1])

    def digests(data):
        return {info["description"] for info in front(data)["dataset_info"]}

    one, again = written(tmp_path / "one", 3), written(tmp_path / "again", 3)
    other = written(tmp_path / "other", 3, answer="no")
    assert [info["config_name"] for info in front(one)["dataset_info"]] == [
        config["config_name"] for config in front(one)["configs"]
    ]
    assert len(digests(one)) == 1 and digests(one) == digests(again) != digests(other)
    assert one.manifest["files"] == again.manifest["files"]
    assert "README.md" in one.manifest["files"] and one.verify() == []
    (one.folder / "README.md").write_text("another card")
    assert one.verify() == ["README.md"]
