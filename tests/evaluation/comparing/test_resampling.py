"""Tests intervals, tests and corrections by simulated coverage and by known results."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, permutation_test

from imaxray.evaluation.comparing.resampling import (
    holm,
    interval,
    over_seeds,
    patient_draws,
    patient_sums,
    permutation_p,
)
from imaxray.metrics import bland_altman, grade_metrics, mean_absolute_error, median_absolute_error

MAE = mean_absolute_error(1.0)
STUDIES, PATIENTS, ENTRIES = 1000, 150, 450
GROUP = np.repeat(np.arange(PATIENTS), ENTRIES // PATIENTS)


@pytest.fixture(scope="module")
def weights():
    return patient_draws(PATIENTS, 1000, seed=11)


def holds(values, truth):
    cell = interval(values, 0.95)
    return cell["low"] <= truth <= cell["high"]


def errors(random, mean):
    """Errors of 150 patients with three entries each; a patient's entries go together."""
    patient = random.normal(mean, 0.08, PATIENTS)
    return patient[GROUP] + random.normal(0, 0.05, ENTRIES)


def statistics(values):
    return np.column_stack([values, np.ones(len(values))])


def test_95_percent_intervals_of_a_value_hold_the_truth_in_93_to_97_percent(weights):
    random = np.random.default_rng(0)
    hits = [
        holds(MAE.resampled(statistics(errors(random, 0.3)), GROUP, weights), 0.3)
        for _ in range(STUDIES)
    ]
    assert 0.93 <= np.mean(hits) <= 0.97


def test_95_percent_intervals_of_a_difference_and_a_gain_hold_the_truth(weights):
    """Paired arms share their patients' difficulty."""
    random = np.random.default_rng(1)
    difference, gain = [], []
    for _ in range(STUDIES):
        shared = errors(random, 0.0)
        a, b = (shared + random.normal(m, 0.05, ENTRIES) for m in (0.40, 0.30))
        of_a, of_b = (MAE.resampled(statistics(v), GROUP, weights) for v in (a, b))
        difference.append(holds(of_b - of_a, -0.10))
        gain.append(holds((of_a - of_b) / of_a, 0.25))
    assert 0.93 <= np.mean(difference) <= 0.97
    assert 0.93 <= np.mean(gain) <= 0.97


def test_95_percent_intervals_over_ten_seeds_hold_the_truth(weights):
    """The truth is the mean over trainings and patients, of which ten and 150 are seen."""
    random = np.random.default_rng(2)
    hits = []
    for _ in range(STUDIES):
        shared = errors(random, 0.3)
        each = np.stack([
            MAE.resampled(statistics(shared + random.normal(0, 0.01)), GROUP, weights[:601])
            for _ in range(10)
        ])  # fmt: skip
        hits.append(holds(over_seeds(each, random), 0.3))
    assert 0.93 <= np.mean(hits) <= 0.97


def test_resampling_entries_instead_of_patients_would_lie(weights):
    """Entries of a patient go together: intervals over entries are too narrow."""
    random = np.random.default_rng(3)
    alone = patient_draws(ENTRIES, 600, seed=4)
    hits = [
        holds(MAE.resampled(statistics(errors(random, 0.3)), np.arange(ENTRIES), alone), 0.3)
        for _ in range(200)
    ]
    assert np.mean(hits) < 0.90


@pytest.mark.parametrize("metric", [MAE, median_absolute_error(1.0), *bland_altman(1.0)],
                         ids=lambda metric: metric.name)  # fmt: skip
def test_weights_equal_repeating_the_entries(metric):
    random = np.random.default_rng(5)
    golds, answers = random.random((2, 30))
    matrix = metric.matrix(list(golds), list(answers))
    group = np.repeat(np.arange(10), 3)
    drawn = patient_draws(10, 50, seed=6)
    found = metric.resampled(matrix, group, drawn)
    for row, value in zip(drawn, found, strict=True):
        again = np.repeat(matrix, row[group].astype(int), axis=0)
        assert value == pytest.approx(metric.of(again), abs=1e-9)


def test_a_resample_without_an_entry_of_the_task_has_no_value():
    metric = grade_metrics(4)[1]
    matrix = metric.matrix([1], [1])
    values = metric.resampled(matrix, np.array([0]), np.array([[1.0, 1.0], [0.0, 2.0]]))
    assert values[0] == 1.0
    assert np.isnan(values[1])
    assert interval(values, 0.95) == {"value": 1.0, "low": pytest.approx(np.nan, nan_ok=True),
                                      "high": pytest.approx(np.nan, nan_ok=True)}  # fmt: skip


def test_a_single_seed_is_left_as_it_is():
    values = np.arange(5.0)[None]
    np.testing.assert_array_equal(over_seeds(values, np.random.default_rng(0)), values[0])


def test_seeds_widen_the_interval_as_much_as_seeds_vary():
    """Patients all alike: only seeds vary, with the deviation of a mean of their number."""
    random = np.random.default_rng(7)
    values = np.repeat(random.normal(0, 1, 6)[:, None], 40_001, axis=1)
    drawn = over_seeds(values, random)
    assert drawn[0] == pytest.approx(values[:, 0].mean())
    assert drawn[1:].std() == pytest.approx(values[:, 0].std(ddof=1) / np.sqrt(6), rel=0.02)


def test_the_permutation_test_agrees_with_scipy():
    random = np.random.default_rng(8)
    one, other = random.normal(0.3, 0.1, 9), random.normal(0.36, 0.1, 9)
    sums = [patient_sums([statistics(v)], np.arange(9), 9) for v in (one, other)]
    found = permutation_p(MAE, *sums, permutations=40_000, random=random)
    exact = permutation_test(
        (one, other), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples",
        n_resamples=np.inf, vectorized=True,
    )  # fmt: skip
    assert found == pytest.approx(exact.pvalue, abs=0.01)


def test_the_permutation_test_rejects_as_often_as_it_says():
    random = np.random.default_rng(9)
    p_values = [
        permutation_p(
            MAE,
            *(statistics(random.normal(0.3, 0.1, 40)) for _ in range(2)),
            permutations=199,
            random=random,
        )
        for _ in range(500)
    ]
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.08
    assert min(p_values) > 0


def test_equal_arms_have_p_one():
    sums = statistics(np.full(10, 0.4))
    p = permutation_p(MAE, sums, sums, permutations=100, random=np.random.default_rng(0))
    assert p == 1.0


def test_holm_by_hand():
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": float("nan")})
    assert found["a"] == pytest.approx(0.03)
    assert found["c"] == found["b"] == pytest.approx(0.06)
    assert np.isnan(found["d"])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_raw_and_bonferroni(p_values):
    raw = {str(k): p for k, p in enumerate(p_values)}
    adjusted = holm(raw)
    for name, p in raw.items():
        assert p <= adjusted[name] <= min(1.0, len(raw) * p) + 1e-12
    order = sorted(raw, key=lambda name: raw[name])
    assert all(adjusted[a] <= adjusted[b] for a, b in itertools.pairwise(order))
    # Benjamini and Hochberg control less, so never correct more
    milder = false_discovery_control(p_values)
    assert all(adjusted[str(k)] >= m - 1e-9 for k, m in enumerate(milder))
