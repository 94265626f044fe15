"""Tests that a shared dataset holds ids and splits, and nothing that a person wrote or drew."""

import json
from dataclasses import replace

import polars as pl
import pytest
from typer.testing import CliRunner

from imaxray._common.files import spreadsheet_safe
from imaxray._common.verifying import verify_folder
from imaxray.cli import app
from imaxray.errors import ImaxrayError
from imaxray.export import share_dataset

IDS = ["image_id", "patient_id", "split"]


def words(folder):
    return "".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.*")))


def test_no_text_answer_box_or_path_is_in_the_folder(small, tmp_path):
    data = small.open()
    share_dataset(data, tmp_path / "out")
    found = words(tmp_path / "out")
    secret = [
        *data.tables.entries["prompt"],
        *data.tables.entries["target"],
        *(text for text in data.tables.annotations["text"] if text),
        *data.tables.images["path"],
        str(small.root),
        "60.5",  # a corner of a box
    ]
    assert secret and not [text for text in secret if text in found]


def test_ids_of_a_published_release_are_kept(small, tmp_path):
    small.source = "nih-chestxray14"
    data = small.open()
    report = share_dataset(data, tmp_path / "out")
    images = pl.read_csv(tmp_path / "out" / "images.csv", infer_schema=False)
    assert images.select(IDS).rows() == data.tables.images.sort("image_id").select(IDS).rows()
    entries = pl.read_csv(tmp_path / "out" / "entries.csv", infer_schema=False)
    assert set(entries["entry_id"]) == set(data.tables.entries["entry_id"])
    assert report.numbered == () and report.counts == {"images": 3, "entries": 5}


def test_ids_of_other_releases_become_numbers_that_still_belong_together(small, tmp_path):
    data = small.open()
    report = share_dataset(data, tmp_path / "out")
    images = pl.read_csv(tmp_path / "out" / "images.csv", infer_schema=False)
    entries = pl.read_csv(tmp_path / "out" / "entries.csv", infer_schema=False)
    assert report.numbered == ("x",)
    ids = {*data.tables.images["image_id"], *data.tables.images["patient_id"], "vqa-1"}
    assert not [one for one in ids if one in words(tmp_path / "out")]
    assert sorted(images["image_id"]) == [f"image-{k:07d}" for k in (1, 2, 3)]
    assert entries["image_id"].is_in(images["image_id"].implode()).all()
    both = entries.join(images, on=["image_id", "patient_id", "split"], how="inner")
    assert both.height == entries.height == data.tables.entries.height


def test_the_same_dataset_gives_the_same_bytes_and_is_verified(small, tmp_path):
    data = small.open()
    first, second = (share_dataset(data, tmp_path / name).files for name in ("a", "b"))
    assert first == second
    assert verify_folder(tmp_path / "a") == ("share.json", [])
    (tmp_path / "a" / "images.csv").write_text("changed")
    assert verify_folder(tmp_path / "a")[1] == ["images.csv"]


def test_absolute_paths_in_settings_are_left_out_and_counted(small, tmp_path):
    data = small.open()
    config = {**data.manifest["config"], "model": "/home/somebody/model"}
    changed = replace(data, manifest={**data.manifest, "config": config})
    share_dataset(changed, tmp_path / "out")
    assert "somebody" not in words(tmp_path / "out")
    shared = json.loads((tmp_path / "out" / "share.json").read_text())
    assert shared["left_out"]["paths_in_settings"] == 1


def test_other_files_are_kept_and_a_foreign_folder_is_refused(small, tmp_path):
    data = small.open()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(ImaxrayError, match="earlier shared dataset"):
        share_dataset(data, tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_the_command_says_what_was_left_out(small, tmp_path):
    data = small.open()
    done = CliRunner().invoke(app, ["share", str(data.folder), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "reports, prompts" in done.output and "could name people" in done.output


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+cmd", "'+1+cmd"),
        ("-2-3", "'-2-3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("-0.5", "-0.5"),
        ("+3e-4", "+3e-4"),
        ("a=1", "a=1"),
        (None, None),
    ],
)
def test_a_spreadsheet_takes_no_cell_for_a_formula(text, safe):
    for dtype in (pl.String, pl.Categorical):
        table = pl.DataFrame({"=id": pl.Series([text], dtype=dtype), "n": [-1.5]})
        assert spreadsheet_safe(table).rows() == [(safe, -1.5)]
        assert spreadsheet_safe(table).columns == ["'=id", "n"]
