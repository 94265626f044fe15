"""Tests scoring, baselines and the paired bootstrap."""

import numpy as np
import polars as pl
import pytest

from imaxray.boxes import PERCENT
from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.evaluation import compare, constant_baseline, score
from imaxray.evaluation.scoring import Scores, TaskScores, primary_values
from imaxray.tasks import get_task


@pytest.fixture(scope="module")
def data(phantom_releases):
    return build_catalog(phantom_releases, verify=False)


def perfect(data):
    sizes = {i: (w, h) for i, w, h in data.images.select("image_id", "width", "height").rows()}
    rows = []
    for entry in data.split("test").iter_rows(named=True):
        asked = entry["prompt"].count("<box>")
        text = PERCENT.fill(entry["target"], entry["boxes"][asked:], *sizes[entry["image_id"]])
        rows.append((entry["entry_id"], text))
    return pl.DataFrame(rows, schema=["entry_id", "text"], orient="row")


def test_perfect_answers_score_perfectly(data):
    values = primary_values(score(data.split("test"), perfect(data), data.images, PERCENT))
    assert values.pop("calculation") < 0.005
    assert values.pop("rec") > 0.8  # boxes are written in whole percents
    assert all(value == pytest.approx(1.0) for name, value in values.items() if name != "grading")


def test_an_entry_without_a_prediction_is_a_sentence(data):
    with pytest.raises(ImaxrayError, match="1 have none"):
        score(data.split("test"), perfect(data)[1:], data.images, PERCENT)


def test_unreadable_answers_count_as_wrong_and_stay(data):
    test = data.split("test").filter(pl.col("task") == "calculation")
    texts = test.select("entry_id", pl.lit("no idea").alias("text"))
    scores = score(test, texts, data.images, PERCENT)
    assert primary_values(scores) == {"calculation": 1.0}
    assert scores.table["answer"].null_count() == test.height


def test_the_constant_baseline_reads_no_test_answer(data):
    train, test = data.split("train"), data.split("test")
    before = constant_baseline(train, test, data.images).table["answer"]
    turned = test.with_columns(pl.col("answer").reverse().over("task", "template"))
    after = constant_baseline(train, turned, data.images).table["answer"]
    assert before.equals(after)


def test_the_constant_is_one_answer_a_subtask(data):
    table = constant_baseline(data.split("train"), data.split("test"), data.images).table
    grading = table.filter(pl.col("task") == "grading")
    assert grading["answer"].n_unique() == 1


def made_up(values, patients):
    """Scores of the calculation task with given absolute errors."""
    task = get_task("calculation")
    metric = task.primary
    statistics = np.column_stack([values, np.ones(len(values))])
    golds = [0.5] * len(values)
    others = {m.name: m.matrix(golds, golds) for m in task.metrics}
    ids = [str(k) for k in range(len(values))]
    of_task = TaskScores(ids, patients, {**others, metric.name: statistics})
    return Scores({"calculation": of_task}, pl.DataFrame())


def test_the_bootstrap_equals_resampling_patients_by_hand():
    random = np.random.default_rng(0)
    patients = [f"p{k // 3}" for k in range(30)]
    a, b = random.random(30), random.random(30)
    result = compare(
        {"a": made_up(a, patients), "b": made_up(b, patients)}, reference="a", seed=5, resamples=400
    ).as_dict()["tasks"][0]
    names = sorted(set(patients))
    counts = np.random.default_rng(5).multinomial(10, np.full(10, 0.1), size=400)
    differences = []
    for row in counts:
        drawn = [k for name, n in zip(names, row, strict=True) for _ in range(n)
                 for k in range(30) if patients[k] == name]  # fmt: skip
        differences.append(b[drawn].mean() - a[drawn].mean())
    low, high = np.quantile(differences, [0.025, 0.975])
    assert result["differences"]["b"]["low"] == pytest.approx(low)
    assert result["differences"]["b"]["high"] == pytest.approx(high)
    assert result["differences"]["b"]["value"] == pytest.approx(b.mean() - a.mean())


def test_a_lower_error_is_a_positive_gain():
    patients = ["p", "q"]
    arms = {"dmax": made_up([0.2, 0.2], patients), "imax": made_up([0.1, 0.1], patients)}
    result = compare(arms, reference="dmax", resamples=100).as_dict()
    assert result["tasks"][0]["gains"]["imax"]["value"] == pytest.approx(0.5)
    assert result["mean_gain"]["imax"]["value"] == pytest.approx(0.5)


def test_a_reference_near_zero_gives_no_relative_gain():
    patients = ["p", "q"]
    arms = {"dmax": made_up([0.0, 0.0], patients), "imax": made_up([0.1, 0.1], patients)}
    result = compare(arms, reference="dmax", resamples=100)
    assert result.as_dict()["tasks"][0]["gains"]["imax"] is None
    assert result.as_dict()["mean_gain"]["imax"] is None
    assert result.table("x").row_count == 2


def test_unlike_arms_are_refused():
    one, two = made_up([0.1, 0.2], ["p", "q"]), made_up([0.1], ["p"])
    with pytest.raises(ImaxrayError, match="same entries"):
        compare({"a": one, "b": two}, reference="a")
    with pytest.raises(ImaxrayError, match="as reference"):
        compare({"a": one}, reference="b")


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """95 % intervals over 200 simulated studies of 60 patients; binomial slack of 3 deviations."""
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        ability = random.normal(0.3, 0.1, 60)
        errors = np.repeat(ability, 3) + random.normal(0, 0.05, 180)
        arm = made_up(errors, [f"p{k // 3}" for k in range(180)])
        cell = compare({"a": arm}, reference="a", resamples=300).as_dict()["tasks"][0]["arms"]["a"]
        hits += cell["low"] <= 0.3 <= cell["high"]
    assert 0.90 <= hits / 200 <= 0.99
