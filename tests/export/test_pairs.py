"""Tests that every pair of a format and a box convention has the verdict that exports follow."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imaxray.cli import app
from imaxray.errors import ImaxrayError
from imaxray.export import ExportConfig, export_dataset, list_box_pairs, list_formats

PAGE = Path(__file__).resolve().parents[2] / "docs" / "export.md"
CELLS = {"right": "right", "written": "`--images write`", "refused": "–"}
PAIRS = list_box_pairs()


def test_exports_follow_the_verdicts(small, tmp_path):
    data = small.open()

    def refusal(form, boxes, how):
        try:
            export_dataset(data, form, tmp_path / "out", ExportConfig(boxes=boxes, images=how))
        except ImaxrayError as error:
            return str(error)
        return None

    for pair in PAIRS:
        for boxes in (pair.convention, *pair.models[:1]):
            said = refusal(pair.format, boxes, "path")
            assert said == pair.reason, (pair, boxes)
            assert (said is None) == (pair.verdict == "right")
            if pair.verdict == "written":
                assert "--images write" in said and "per-mille" in said  # ways that are right
                assert refusal(pair.format, boxes, "write") is None
            elif pair.verdict == "refused" and pair.format not in ("fiftyone", "croissant"):
                assert refusal(pair.format, boxes, "write") == said
                assert "name that of the model" in said


def test_the_page_has_every_verdict():
    """The table of docs/export.md, read cell by cell."""
    [table] = re.findall(r"^\| convention \| .*\n\| -.*\n((?:\|.*\n)+)", PAGE.read_text(), re.M)
    [head] = re.findall(r"^\| convention \| (.*) \|$", PAGE.read_text(), re.M)
    names = [cell.strip().strip("`") for cell in head.split("|")]
    assert names == list(list_formats())
    found = {}
    for line in table.splitlines():
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        key = name.strip("`") if name.startswith("`") else None
        found |= {(form, key): cell for form, cell in zip(names, cells, strict=True)}
    assert found == {(pair.format, pair.convention): CELLS[pair.verdict] for pair in PAIRS}


def test_the_command_prints_the_same():
    printed = CliRunner().invoke(app, ["formats", "--format", "json"])
    told = json.loads(printed.stdout)
    assert told["formats"] == list_formats()
    assert [(p["format"], p["convention"], p["verdict"], p["reason"]) for p in told["boxes"]] == [
        (p.format, p.convention, p.verdict, p.reason) for p in PAIRS
    ]
    text = CliRunner().invoke(app, ["formats"])
    assert text.exit_code == 0
    [row] = [line for line in text.stdout.splitlines() if " box-2d " in line]
    assert [cell.strip() for cell in row.split("│")][3:-1] == [
        "write", "write", "write", "right", "-", "-",
    ]  # fmt: skip


@pytest.mark.parametrize("form", sorted(list_formats()))
def test_every_format_has_pairs(form):
    assert any(pair.format == form and pair.verdict == "right" for pair in PAIRS)


def test_the_export_command_names_the_settings(small, tmp_path):
    small.open()
    words = ["export", str(small.folder), "--format", "llava", "--boxes", "unit-padded"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")])
    said = " ".join(done.stdout.split())
    assert done.exit_code == 0 and "Settings for LLaVA and its forks: " in said
    assert "settings.yaml" in said and "99th percentile" in said
