"""Tests the report of an audit and its command."""

import json
import subprocess
import sys

import polars as pl
import pytest

from imaxray.audit import CHECKS, audit_dataset
from imaxray.errors import ImaxrayError


def run(*args):
    return subprocess.run(
        [sys.executable, "-m", "imaxray.cli", "audit", *map(str, args)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def spoilt(data):
    for name in "abc":
        (data.root / f"{name}.png").unlink()
    return data


def test_text_shows_few_examples_and_counts_all(spoilt):
    text = spoilt.audit().to_text(examples=2)
    assert "broken-image: 3 (" in text and text.count("does not exist") == 2
    assert "… and 1 more" in text
    assert text.endswith("3 findings from 1 of 20 checks")


def test_json_holds_all_findings_and_all_checks(spoilt):
    report = spoilt.audit()
    told = json.loads(report.to_json())
    assert [check["code"] for check in told["checks"]] == [check.code for check in CHECKS]
    # by split, then by id
    assert [f["id"] for f in told["findings"]] == ["c/a", "c/b", "c/c"]
    assert report.counts["broken-image"] == 3 and sum(report.counts.values()) == 3


def test_the_same_data_give_the_same_report(spoilt):
    spoilt.entries(prompt=pl.col("target"))
    first = spoilt.audit().to_json()
    spoilt.tables = spoilt.tables.__class__(
        spoilt.tables.images.reverse(), spoilt.tables.annotations, spoilt.tables.entries.reverse(),
        roots=spoilt.tables.roots,
    )  # fmt: skip
    assert spoilt.audit().to_json() == first


def test_exit_codes_and_formats(data):
    folder = data.write()
    clean = run(folder)
    assert clean.returncode == 0 and "no findings from 20 checks" in clean.stdout
    (data.root / "c.png").unlink()
    faulty = run(folder, "--format", "json")
    assert faulty.returncode == 1
    assert [f["code"] for f in json.loads(faulty.stdout)["findings"]] == ["broken-image"]
    assert run(folder, "--skip", "broken-image").returncode == 0
    wrong = run(data.tmp / "nothing")
    assert wrong.returncode == 2 and wrong.stderr.startswith("imaxray: Expected")
    assert wrong.stderr.strip().count("\n") == 0


def test_a_file_of_clinical_rules_decides_the_exit_code(data, tmp_path):
    within_margin = {"kind": "measurement", "name": "ctr", "value": 0.51}
    data.annotate("c", within_margin, {"kind": "label", "name": "Cardiomegaly", "value": 0.0})
    folder = data.write()
    assert run(folder).returncode == 0
    rules = tmp_path / "clinical.yaml"
    rules.write_text("clinical: {ctr-cardiomegaly: {thresholds: {margin: 0.0}}}")
    found = run(folder, "--clinical", rules)
    assert found.returncode == 1 and "ctr-cardiomegaly: 1 (" in found.stdout
    wrong = run(folder, "--clinical", tmp_path / "none.yaml")
    assert wrong.returncode == 2 and "`clinical:` block" in wrong.stderr


def test_the_block_of_the_manifest_holds_unless_a_file_is_given(data, tmp_path):
    just_above = {"kind": "measurement", "name": "ctr", "value": 0.51}
    data.annotate("c", just_above, {"kind": "label", "name": "Cardiomegaly", "value": 0.0})
    assert data.audit().clean and "clinical" not in data.audit().to_json()
    block = {"ctr-cardiomegaly": {"thresholds": {"margin": 0.005}, "severity": None}}
    folder = data.write({"clinical": block})
    report = audit_dataset(folder)
    assert report.counts["ctr-cardiomegaly"] == 1
    assert "those of the dataset's manifest, which changes ctr-cardiomegaly" in report.to_text()
    told = json.loads(report.to_json())["clinical_of_manifest"]
    assert told == {"ctr-cardiomegaly": {"thresholds": {"margin": 0.005}}}
    rules = tmp_path / "clinical.yaml"
    rules.write_text("clinical: {}")
    other = audit_dataset(folder, clinical=rules)
    assert other.clean and "manifest" not in other.to_text()
    # pseudo IMAX carries the settings of the dataset that was annotated
    assert not audit_dataset(data.write({"base_config": {"clinical": block}, "pseudo": {}})).clean


def test_an_unknown_rule_in_the_manifest_is_a_sentence(data, tmp_path):
    folder = data.write({"clinical": {"ctr-cardiomegali": {}}})
    with pytest.raises(ImaxrayError, match=r"manifest\.json.*did you mean ctr-cardiomegaly"):
        audit_dataset(folder)
    rules = tmp_path / "clinical.yaml"
    rules.write_text("clinical: {}")
    assert audit_dataset(folder, clinical=rules).clean
