"""Tests the estimate of a study against its own finished runs, and what it says when it cannot."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from imaxray.cli import app
from imaxray.errors import ImaxrayError
from imaxray.study import EstimateConfig, StudyConfig, estimate_study
from torture.same import differences, tree

LINGSHU = {
    "title": "Planned", "models": {"lingshu-7b": {"recipe": "lingshu-7b"}},
    "root": "nowhere", "releases": {"mimic-cxr-jpg": "mimic-cxr-jpg"},
    "imax": {
        "min_tasks": 2, "target_entries": 354000, "tasks_per_image": 4.1, "entries_per_image": 7.46,
    },
    "arms": {
        "imax": {"data": "imax"},
        "imax, separate": {"data": "imax", "layout": "separate"},
        "dmax": {"data": "dmax"},
    },
    "reference": "imax",
}  # fmt: skip


def test_estimates_of_built_data_are_what_the_runs_saw(finished, make_config):
    out, runs = finished
    before = tree(out)
    found = {one.arm: one for one in estimate_study(make_config(), out).units}
    assert differences(tree(out), before) == []  # it writes nothing
    assert found.keys() == runs.keys()  # an arm that is not trained has no estimate
    for arm, run in runs.items():
        one = found[arm]
        assert one.problem is None and one.tokens.is_exact
        assert one.tokens.tokens == run["tokens_seen"]
        assert one.tokens.entries_seen == run["entries_seen"]
        assert (one.trained, one.parameters) == (run["parameters"], run["parameters_in_all"])
        assert one.steps_by == ("runs" if "compute" in arm else "config")
        assert one.speed_by == "runs" and one.hours > 0
    same_layout = [runs[a]["tokens_per_second"] for a in ("dmax", "imax", "imax (equal compute)")]
    assert found["dmax"].tokens_per_second == pytest.approx(sum(same_layout) / 3)


def test_equal_compute_follows_from_tokens_until_there_are_runs(finished, make_config, tmp_path):
    out, _ = finished
    for name in ("imax", "dmax", "catalog", "releases", "match.json"):
        (tmp_path / name).symlink_to(out / name)
    found = {one.arm: one for one in estimate_study(make_config(), tmp_path).units}
    own, reference = found["imax"], found["dmax"]
    planned = found["imax (equal compute)"]
    each = own.tokens.tokens / own.steps
    assert planned.steps == round(reference.tokens.tokens / each)
    assert planned.steps_by == "tokens" and planned.hours is None
    assert not (tmp_path / "init").exists()


def test_a_study_of_a_large_model_before_anything_is_built():
    how = EstimateConfig(text_tokens=40, tokens_per_second={"lingshu-7b": 5000})
    found = estimate_study(StudyConfig.model_validate(LINGSHU), None, how)
    packed, separate, dmax = found.units
    assert packed.entries == 354000 and packed.steps == 2766  # one pass in steps of 128
    assert packed.parameters == 8_292_166_656 + packed.trained and packed.trained == 40_370_176
    assert separate.tokens.images == 2766 * 128 == packed.tokens.entries_seen
    assert packed.tokens.images == pytest.approx(354048 / 7.46 + 2766 * (1 - 1 / 7.46), rel=0.01)
    assert packed.hours == pytest.approx(packed.tokens.tokens / 5000 / 3600)
    assert "--entries-per-image dmax=NUMBER" in dmax.problem and dmax.trained == packed.trained
    told = found.as_dict()
    json.dumps(told)
    assert told["tokens"] == packed.tokens.tokens + separate.tokens.tokens
    assert any("published dimensions" in note for note in found.notes)


def test_four_bits_need_fewer_bytes_of_weights():
    four = {"lingshu-7b": {"recipe": "lingshu-7b", "quantization": "nf4"}}
    plain, quantized = (
        estimate_study(
            StudyConfig.model_validate({**LINGSHU, **changes}), None, EstimateConfig(text_tokens=40)
        ).units[0]
        for changes in ({}, {"models": four})
    )
    assert quantized.memory.weights < 0.45 * plain.memory.weights
    assert quantized.tokens == plain.tokens and quantized.trained == plain.trained


def test_an_attention_that_takes_no_mask_is_told_for_packed_arms_alone():
    flash = {"lingshu-7b": {"recipe": "lingshu-7b", "attention": "flash_attention_2"}}
    packed, separate, _ = estimate_study(
        StudyConfig.model_validate({**LINGSHU, "models": flash}), None,
        EstimateConfig(text_tokens=40),
    ).units  # fmt: skip
    assert "mask" in packed.problem and packed.tokens is None
    assert separate.problem is None and separate.tokens is not None


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"entries": {"imx": 3}}, "Expected --entries for dmax or imax, but got imx"),
        ({"tokens_per_second": {"medmo": 3}}, "--tokens-per-second for lingshu-7b, but got medmo"),
    ],
)
def test_unknown_names_are_refused(how, told):
    with pytest.raises(ImaxrayError, match=told):
        estimate_study(StudyConfig.model_validate(LINGSHU), None, EstimateConfig(**how))


def test_data_of_another_configuration_are_refused(finished, make_config):
    with pytest.raises(ImaxrayError, match="built with another one"):
        estimate_study(make_config(imax={"min_tasks": 4}), finished[0])


def test_the_command_prints_tables_or_json(tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(LINGSHU))
    (tmp_path / "mimic-cxr-jpg").mkdir()
    words = ["study", str(tmp_path / "study.yaml"), "--root", str(tmp_path), "--dry-run"]
    words += ["--text-tokens", "40", "--entries", "imax=354003"]
    told = CliRunner().invoke(app, [*words, "--format", "json"])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert [one["entries"] for one in found["units"]] == [354003] * 3
    told = CliRunner().invoke(app, words)
    assert "354,003" in told.stdout and "published dimensions" in told.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"study.yaml", "mimic-cxr-jpg"}


def test_options_of_an_estimate_need_a_dry_run(tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(LINGSHU))
    words = ["study", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "out")]
    told = CliRunner().invoke(app, [*words, "--text-tokens", "40"])
    assert isinstance(told.exception, ImaxrayError) and "add --dry-run" in str(told.exception)
    told = CliRunner().invoke(app, words[:2])
    assert isinstance(told.exception, ImaxrayError) and "--out FOLDER" in str(told.exception)
    assert not (tmp_path / "out").exists()
