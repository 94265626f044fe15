"""Tests that one ``clinical:`` block changes the rules of build, audit and filter."""

import dataclasses

import polars as pl
import pytest
import yaml

from imaxray.audit import audit_dataset
from imaxray.clinical import DEFAULT_RULES, ClinicalRules, load_clinical_rules, rule_names
from imaxray.curation import Tables, write_dataset
from imaxray.curation.joining.conflicts import CONFLICT_RULES, ConflictsConfig, find_conflicts
from imaxray.errors import ImaxrayError
from imaxray.pseudo import load_rules
from imaxray.schema import ANNOTATIONS, IMAGES, conform
from imaxray.study import load_config
from imaxray.study.build import DataConfig
from imaxray.tasks import make_entries

RULE = "ctr-cardiomegaly"
PIXELS = ["broken-image", "duplicate-image", "duplicate-over-splits", "near-duplicate"]
NARROW = {RULE: {"thresholds": {"margin": 0.02}}}


def written(tmp_path, content):
    path = tmp_path / "own.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def facts(ratio, label):
    """One image with a cardiothoracic ratio and the label Cardiomegaly."""
    one = {"image_id": "s/i", "source": "s", "file": "f", "origin": "human", "quality": "q"}
    rows = [{**one, "row": 1, "kind": "measurement", "name": "ctr", "value": ratio},
            {**one, "row": 2, "kind": "label", "name": "Cardiomegaly", "value": label}]  # fmt: skip
    return conform(pl.DataFrame(rows), ANNOTATIONS)


def in_build(ratio, label, path=None):
    """Effects of the contradictions that a build finds."""
    numbered = facts(ratio, label).with_columns(pl.lit(0, dtype=pl.UInt32).alias("_image"))
    config = ConflictsConfig()
    found = find_conflicts(numbered, config, stage="facts", clinical=load_clinical_rules(path))[2]
    return found["effect"].cast(pl.String).to_list()


def in_audit(tmp_path, ratio, label, path=None):
    image = {
        "image_id": "s/i", "patient_id": "s/p", "split": "train", "path": "i.png", "width": 10,
        "height": 10, "view": "PA", "source": "s", "file": "f", "row": 1,
    }  # fmt: skip
    images = conform(pl.DataFrame([image]), IMAGES)
    annotations = facts(ratio, label)
    entries = make_entries(annotations, images)
    write_dataset(Tables(images, annotations, entries), tmp_path / "data", config={}, seed=0)
    return audit_dataset(tmp_path / "data", skip=PIXELS, clinical=path)


def in_filter(ratio, label, path=None):
    """Verdict and effect of the built-in consistency rule; ``None``: it is not asked."""
    found = [r for r in load_rules(clinical=path) if r.name == RULE]
    if not found:
        return None
    bad = any(case.holds(ratio, label) for case in found[0].contradict)
    return ("contradict" if bad else "other", found[0].effect)


@pytest.mark.parametrize(
    ("ratio", "label", "contradicts"),
    [(0.51, 0, False), (0.55, 0, False), (0.56, 0, True), (0.46, 1, False), (0.44, 1, True)],
)
def test_build_audit_and_filter_agree(tmp_path, ratio, label, contradicts):
    assert in_build(ratio, label) == ["downgrade"] * contradicts
    assert in_audit(tmp_path, ratio, label).clean is not contradicts
    assert in_filter(ratio, label) == ("contradict" if contradicts else "other", "drop")


def test_a_threshold_changes_all_three(tmp_path):
    path = written(tmp_path, {"title": "any other key", "clinical": NARROW})
    assert in_build(0.53, 0, path) == ["downgrade"]
    assert in_audit(tmp_path, 0.53, 0, path).counts[RULE] == 1
    assert in_filter(0.53, 0, path) == ("contradict", "drop")


def test_a_warning_is_reported_and_not_acted_on(tmp_path):
    path = written(tmp_path, {"clinical": {RULE: {"severity": "warning"}}})
    assert in_build(0.7, 0, path) == ["keep"]
    report = in_audit(tmp_path, 0.7, 0, path)
    assert report.counts[RULE] == 1 and report.clean
    assert "a warning" in report.to_text() and '"severity": "warning"' in report.to_json()
    assert in_filter(0.7, 0, path) == ("contradict", "keep")


def test_a_rule_can_be_ignored(tmp_path):
    path = written(tmp_path, {"clinical": {RULE: {"severity": "ignore"}}})
    assert in_build(0.7, 0, path) == []
    report = in_audit(tmp_path, 0.7, 0, path)
    assert report.clean and report.limits[RULE] == "ignored by the clinical rules"
    assert in_filter(0.7, 0, path) is None


def test_a_severity_of_error_makes_a_counting_rule_act():
    text = {"kind": "report", "name": "findings", "text": "There is a pneumothorax."}
    label = {"kind": "label", "name": "Pneumothorax", "value": 0.0}
    one = {"image_id": "s/i", "source": "s", "file": "f", "origin": "human", "quality": "q"}
    rows = pl.DataFrame([one | {"row": 1} | text, one | {"row": 2} | label])
    table = conform(rows, ANNOTATIONS).with_columns(pl.lit(0, dtype=pl.UInt32).alias("_image"))
    for block, effect in (({}, "keep"), ({"report-label": {"severity": "error"}}, "downgrade")):
        rules = ClinicalRules.model_validate(block)
        found = find_conflicts(table, ConflictsConfig(), stage="facts", clinical=rules)[2]
        assert found["effect"].cast(pl.String).to_list() == [effect]


def test_a_study_carries_its_block_into_the_manifest_and_others_stay_what_they_were(tmp_path):
    plain = {"title": "t", "phantom": {"images": 20}}
    before = load_config(written(tmp_path, plain))
    assert "clinical" not in before.content() and "clinical" not in before.data().model_dump()
    study = load_config(written(tmp_path, plain | {"clinical": NARROW}))
    content = study.data().model_dump(mode="json")
    assert content["clinical"] == {RULE: {"thresholds": {"margin": 0.02}, "severity": None}}
    # a dataset is rebuilt from its manifest
    assert DataConfig.model_validate(content).clinical[RULE].thresholds["margin"] == 0.02


def test_the_block_may_stand_in_the_file_of_consistency_rules(tmp_path):
    path = written(tmp_path, {"clinical": NARROW})
    rule = next(r for r in load_rules(path) if r.name == RULE)
    assert rule.contradict[1].first.above == 0.52
    with pytest.raises(ImaxrayError, match="Expected one `clinical:` block"):
        load_rules(path, clinical=path)


def test_no_file_and_an_empty_block_change_nothing(tmp_path):
    assert load_clinical_rules() is DEFAULT_RULES
    assert load_clinical_rules(written(tmp_path, "clinical:\n")) == DEFAULT_RULES


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("clinical: [", "line 1 cannot be read"),
        ("title: x", "Expected a `clinical:` block"),
        ("just text", "Expected keys and values"),
        ("clinical: {ctr-cardiomegalie: {}}", "did you mean ctr-cardiomegaly?"),
        ("clinical: {x: {}}", "choose from ctr-cardiomegaly, "),
        ("clinical: {ctr-cardiomegaly: {thresholds: {margins: 0.1}}}", "did you mean margin?"),
        ("clinical: {report-label: {thresholds: {cut: 0.1}}}", "choose from none"),
        (
            "clinical: {ctr-cardiomegaly: {thresholds: {cut: -1}}}",
            "ctr-cardiomegaly.thresholds.cut",
        ),
        ("clinical: {ctr-cardiomegaly: {thresholds: {cut: .nan}}}", "finite number"),
        ("clinical: {ctr-cardiomegaly: {severity: fatal}}", "ctr-cardiomegaly.severity"),
        ("clinical: {ctr-cardiomegaly: {margin: 0.1}}", "ctr-cardiomegaly.margin"),
        ("clinical: {ctr-cardiomegaly: {margin: 0.1}}", "the keys there are severity, thresholds"),
        ("clinical: {ctr-cardiomegaly: {threshold: {}}}", "did you mean `thresholds`?"),
        ("clinical: 7", "clinical"),
    ],
)
def test_mistakes_are_a_sentence(tmp_path, content, says):
    with pytest.raises(ImaxrayError) as caught:
        load_clinical_rules(written(tmp_path, content))
    assert says in str(caught.value)


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(ImaxrayError, match="cannot be read"):
        load_clinical_rules(tmp_path / "none.yaml")


def test_settings_belong_to_every_threshold():
    for name in rule_names():
        block = {name: {"thresholds": dict(DEFAULT_RULES[name].thresholds), "severity": "error"}}
        rule = ClinicalRules.model_validate(block)[name]
        assert (
            dataclasses.replace(rule, severity=DEFAULT_RULES[name].severity) == DEFAULT_RULES[name]
        )


def test_build_asks_clinical_rules_only():
    asked = {name for name, rule in CONFLICT_RULES.items() if rule.own is None}
    assert asked <= set(rule_names())
    assert all(rule.own is None or rule.own.name == name for name, rule in CONFLICT_RULES.items())
