"""Tests the correlation of dynamics with final scores: ranks, interval and refused input."""

import json

import numpy as np
import polars as pl
import pytest
from scipy import stats
from typer.testing import CliRunner

from imaxray.cli import app
from imaxray.dynamics import Gram, correlate_scores, run_scores, spectra_table
from imaxray.dynamics.comparing.correlation import CAVEAT, MEAN
from imaxray.errors import ImaxrayError

N = 12


def measured(folder, power, ids=None):
    probe = np.random.default_rng(0).normal(size=(N, 20)) * np.arange(1, 21) ** (-power / 2)
    gram = Gram(
        {"mlp": probe @ probe.T},
        ids=ids or tuple(f"e{i}" for i in range(N)),
        tasks=("vqa", "rec") * (N // 2),
    )
    for seen in (0, 64):
        gram.write(folder / "dynamics" / "gram" / f"{seen:012d}.parquet")
    first = spectra_table(gram, entries_seen=0).with_columns(se=pl.lit(99.0))
    table = pl.concat([first, spectra_table(gram, entries_seen=64)])
    table.write_parquet(folder / "dynamics" / "spectra.parquet")
    return folder


def own_scores(folder, vqa, calculation):
    """Calculation is scored by an error: lower is better."""
    rows = [(f"v{i}", "vqa", vqa) for i in range(4)]
    rows += [(f"c{i}", "calculation", calculation) for i in range(3)]
    table = pl.DataFrame(rows, schema=["entry_id", "task", "score"], orient="row")
    table.write_parquet(folder / "scores.parquet")


def evaluated(folder, name, value, sha="d", split="test"):
    metric = {"name": "accuracy", "higher_is_better": True, "value": value}
    nothing = {"name": "mean IoU", "higher_is_better": True, "value": None}
    data = {
        "decided_by": {"dataset": {"sha256": sha, "split": split}},
        "tasks": [
            {"task": "vqa", "primary": "accuracy", "entries": 4, "metrics": [metric]},
            {"task": "rec", "primary": "mean IoU", "entries": 4, "metrics": [nothing]},
        ],
    }
    place = folder / "evaluation" / name
    place.mkdir(parents=True)
    (place / "result.json").write_text(json.dumps(data))


POWERS = (0.2, 0.5, 0.9, 1.4, 2.0)
VQA = (0.3, 0.2, 0.5, 0.4, 0.6)
ERRORS = (5.0, 4.0, 3.0, 2.0, 1.0)


@pytest.fixture
def runs(tmp_path):
    made = []
    for number, power in enumerate(POWERS):
        run = measured(tmp_path / f"run{number}", power)
        own_scores(run, VQA[number], ERRORS[number])
        made.append(run)
    return made


def test_spearman_of_the_last_measurement_with_scores_turned_upwards(runs):
    found = correlate_scores(runs, statistics=["se"], reductions=["sum"])
    assert found["task"].to_list() == ["calculation", "vqa", MEAN]
    assert found["runs"].to_list() == [5] * 3
    se = [
        pl.read_parquet(r / "dynamics/spectra.parquet")
        .filter(entries_seen=64, reduction="sum", group="all")["se"].item()
        for r in runs
    ]  # fmt: skip
    assert se == sorted(se, reverse=True)  # the steeper the spectrum, the less entropy
    row = {r["task"]: r for r in found.iter_rows(named=True)}
    # the error falls as SE falls: turned upwards the score rises
    assert row["calculation"]["spearman"] == -1
    assert row["calculation"]["low"] is None and row["calculation"]["high"] is None
    expected = stats.spearmanr(se, VQA).statistic
    assert row["vqa"]["spearman"] == pytest.approx(expected)
    r = row["vqa"]["spearman"]
    half = 1.959964 * np.sqrt((1 + r**2 / 2) / (5 - 3))
    ends = np.tanh([np.arctanh(r) - half, np.arctanh(r) + half])
    assert [row["vqa"]["low"], row["vqa"]["high"]] == pytest.approx(ends, abs=1e-6)
    relative = (np.array(VQA) / np.mean(VQA) - np.array(ERRORS) / np.mean(ERRORS)) / 2
    assert row[MEAN]["spearman"] == pytest.approx(stats.spearmanr(se, relative).statistic)


def test_few_runs_have_no_interval_and_two_no_correlation(runs):
    three = correlate_scores(runs[:3], statistics=["se"], reductions=["sum"]).filter(task="vqa")
    assert three["spearman"].item() is not None and three["low"].item() is None
    two = correlate_scores(runs[:2], statistics=["se"], reductions=["sum"]).filter(task="vqa")
    assert two["spearman"].item() is None and two["runs"].item() == 2


def test_a_correlation_of_arms_alone_is_gone_within_them(tmp_path):
    """Arms differ in both; inside an arm dynamics and scores go opposite ways."""
    made, arms = [], []
    for arm, power, score in (("a", 0.2, 0.3), ("b", 2.0, 0.8)):
        for k in range(3):
            run = measured(tmp_path / f"{arm}{k}", power + 0.1 * k)
            own_scores(run, score - 0.01 * k, 1.0)
            made.append(run)
            arms.append(arm)
    found = correlate_scores(made, arms=arms, statistics=["rho"], reductions=["sum"])
    vqa = found.filter(task="vqa")
    assert vqa["spearman"].item() > 0.4 and vqa["within_arms"].item() < -0.8
    flat = found.filter(task="calculation")
    assert flat["spearman"].item() is None  # nothing varies


def test_results_of_evaluate_are_read_and_never_mixed(runs):
    for run, value in zip(runs, VQA, strict=True):
        (run / "scores.parquet").unlink()
        evaluated(run, "imax-test", value)
    scores = run_scores(runs)
    assert scores["score"].to_list() == list(VQA)
    assert scores["metric"].unique().to_list() == ["accuracy"]
    found = correlate_scores(runs, statistics=["se"], reductions=["sum"])
    assert found["task"].to_list() == ["vqa", MEAN]
    for run in runs:
        evaluated(run, "imax-val", 0.5, split="val")
    with pytest.raises(ImaxrayError, match=r"several \(imax-test, imax-val\)"):
        run_scores(runs)
    assert run_scores(runs, evaluation="imax-test").equals(scores)
    evaluated(runs[0], "other", 0.5)
    for run in runs[1:]:
        evaluated(run, "other", 0.5, sha="e")
    with pytest.raises(ImaxrayError, match="same entries"):
        run_scores(runs, evaluation="other")


def test_what_cannot_be_correlated_is_told(runs, tmp_path):
    bare = measured(tmp_path / "bare", 1.0)
    with pytest.raises(ImaxrayError, match="imaxray evaluate RUN"):
        run_scores([*runs, bare])
    foreign = measured(tmp_path / "foreign", 1.0, ids=tuple(f"x{i}" for i in range(N)))
    own_scores(foreign, 0.5, 1.0)
    with pytest.raises(ImaxrayError, match="measured on the same entries"):
        correlate_scores([*runs, foreign])
    with pytest.raises(ImaxrayError, match="all, mlp, but got vision"):
        correlate_scores(runs, group="vision")


def test_the_command_prints_the_caveat(runs, tmp_path):
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["dynamics", *map(str, runs), "--out", str(out), "--scores"])
    assert done.exit_code == 0, done.output
    assert CAVEAT in done.output and "vqa" in done.output
    assert pl.read_csv(out / "correlations.csv").height == 2 * 3 * 3
    assert pl.read_csv(out / "scores.csv").height == 10
    again = CliRunner().invoke(app, ["dynamics", *map(str, runs), "--out", str(out)])
    assert CAVEAT not in again.output and not (out / "correlations.csv").exists()
