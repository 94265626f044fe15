"""Tests the files of the project: citation, issue forms, hooks, and the layout in the tutorial."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import imaxray

ROOT = Path(__file__).resolve().parents[2]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))


def test_the_citation_has_what_the_format_requires():
    """The Citation File Format 1.2.0 requires four keys, and a name of each author."""
    assert {"cff-version", "message", "title", "authors"} <= set(CITATION)
    assert CITATION["cff-version"] == "1.2.0" and CITATION["type"] == "software"
    known = {
        "abstract", "authors", "cff-version", "keywords", "license", "message", "references",
        "title", "type", "version",
    }  # fmt: skip
    assert set(CITATION) <= known
    for author in [
        *CITATION["authors"],
        *(a for r in CITATION["references"] for a in r["authors"]),
    ]:
        assert set(author) <= {"name", "family-names", "given-names"} and author
    for reference in CITATION["references"]:
        assert {"authors", "title", "type"} <= set(reference)


def test_the_citation_says_what_the_package_says():
    assert CITATION["version"] == imaxray.__version__
    assert CITATION["license"] == PROJECT["license"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    number = CITATION["references"][0]["identifiers"][0]["value"].removeprefix("arXiv:")
    assert number in readme
    title = " ".join(readme.split())
    assert CITATION["references"][0]["title"] in title


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_form_can_be_shown(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.name == "config.yml":
        assert form == {"blank_issues_enabled": False}
        return
    assert {"name", "description", "body"} <= set(form)
    ids = [part["id"] for part in form["body"] if "id" in part]
    assert len(ids) == len(set(ids)) and ids
    for part in form["body"]:
        assert part["type"] in ("checkboxes", "dropdown", "input", "markdown", "textarea")
        assert part["attributes"]["value" if part["type"] == "markdown" else "label"]


def test_forms_for_data_warn_against_patient_data():
    for name in ("bug", "release", "result"):
        text = (ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text(encoding="utf-8")
        assert re.search(r"patient data|credentialed release", text)


def test_hooks_are_local_and_are_what_make_check_runs():
    assert [repository["repo"] for repository in HOOKS["repos"]] == ["local"]
    entries = [hook["entry"] for hook in HOOKS["repos"][0]["hooks"]]
    check = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ncheck:")[1].split("\n\n")[0]
    assert len(entries) == 4
    for entry in entries:
        assert entry.startswith(".venv/bin/")
        program = " ".join(entry.removeprefix(".venv/bin/").split()[:2])
        assert f"$(BIN)/{program.removesuffix(' --force-exclude')}" in check


def test_the_tutorial_shows_the_layout_that_is_read(phantom_root):
    """The phantom has the layout of the publishers, so every file that the page names is in it."""
    page = (ROOT / "docs" / "tutorials" / "physionet.md").read_text(encoding="utf-8")
    tree = page.split("```text\n")[1].split("```")[0].split()
    assert len(tree) > 15
    for line in tree:
        pattern = line.removeprefix("/data/").replace("….jpg", "*.jpg").replace("…", "*")
        pattern = pattern.replace("p10/*/", "p10/**/")
        assert any(phantom_root.glob(pattern)), line
    config = yaml.safe_load((ROOT / "src/imaxray/configs/mimic.yaml").read_text(encoding="utf-8"))
    assert {line.split("/")[2] for line in tree} == set(config["releases"].values())
