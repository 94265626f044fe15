"""Tests that what a study prints and writes for others holds no text or pixels of patients."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import polars as pl
import pytest
import yaml

from imaxray.curation import open_dataset
from imaxray.sources import ReleaseFile
from imaxray.study import StudyConfig
from imaxray.study.reporting.material import example_count

TINY = {
    "title": "Tiny study",
    "phantom": {"images": 90, "seed": 1},
    "workers": 1,
    "imax": {"min_tasks": 5, "max_entries_per_task": 1, "eval_entries_per_task": 6},
    "model": {
        "image_size": 32, "patch_size": 16, "width": 32, "vision_layers": 1, "text_layers": 1,
        "vocabulary": 400,
    },
    "training": {"entries_per_step": 12, "steps": 2, "log_every": 2, "save_every": 2},
    "evaluation": {"max_new_tokens": 8, "resamples": 100, "examples": 0},
}  # fmt: skip
SECRET = "environment-secret-5d1f"


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """A study in a process of its own: what it printed, and its folder."""
    folder = tmp_path_factory.mktemp("privacy")
    (folder / "study.yaml").write_text(yaml.safe_dump(TINY))
    run = subprocess.run(
        [sys.executable, "-m", "imaxray.cli", "study", folder / "study.yaml",
         "--out", folder / "out"],
        capture_output=True, text=True, timeout=280,
        env={**os.environ, "SOME_TOKEN": SECRET},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout + run.stderr, folder / "out"


def test_nothing_printed_and_no_page_holds_a_report_or_an_answer(printed):
    text, out = printed
    entries = open_dataset(out / "catalog").tables.entries
    long = pl.col("target").str.len_chars() > 25
    told = set(entries.filter(long)["target"])
    sentences = {part.strip() for target in told for part in re.split(r"[.\n]", target)}
    secrets = {s for s in sentences if len(s) > 25}
    assert len(secrets) > 100
    pages = [p for p in out.rglob("*") if p.suffix in (".html", ".md", ".log", ".yaml")]
    assert any(page.name == "report.html" for page in pages)
    for place in (text, *(page.read_text(encoding="utf-8") for page in pages)):
        assert not [s for s in secrets if s in place]


def test_json_files_of_a_study_hold_no_report(printed):
    """Answers of the models lie in Parquet tables alone."""
    _, out = printed
    entries = open_dataset(out / "catalog").tables.entries
    reports = set(entries.filter(pl.col("task") == "report")["target"])
    whole = [p for p in (out / "imax").parent.rglob("*.json") if "phantom" not in p.parts]
    assert whole
    for path in whole:
        if path.name == "tokenizer.json":
            continue
        text = path.read_text(encoding="utf-8")
        assert not [r for r in reports if r in text], path


def test_no_file_holds_an_environment_variable(printed):
    text, out = printed
    assert SECRET not in text
    for path in out.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("sources", "wanted", "number"),
    [
        (["nih-chestxray14", "wingspan-ctr"], None, 12),
        (["nih-chestxray14", "mimic-cxr"], None, 0),
        (["dicom-folder"], None, 0),
        (["hospital"], None, 0),
        (["mimic-cxr"], 3, 3),
        (["nih-chestxray14"], 0, 0),
    ],
)
def test_a_report_shows_examples_of_open_releases_only_unless_asked(sources, wanted, number):
    config = StudyConfig.model_validate(
        {"title": "t", "root": ".", "releases": {name: name for name in sources},
         "evaluation": {} if wanted is None else {"examples": wanted}}
    )  # fmt: skip
    files = tuple(ReleaseFile(name, "a.csv", 1, "0" * 64) for name in sources)
    data = SimpleNamespace(tables=SimpleNamespace(files=files))
    assert example_count(config, data) == number


def test_a_phantom_shows_examples():
    config = StudyConfig.model_validate({"title": "t", "phantom": {"images": 20}})
    assert example_count(config, None) == 12
