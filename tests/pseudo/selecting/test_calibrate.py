"""Tests that thresholds reach their precision over many simulated validation sets."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from imaxray.errors import ImaxrayError
from imaxray.pseudo import PSEUDO, calibrate
from imaxray.pseudo.selecting.calibrate import design_effect, intraclass, lower_bound
from imaxray.schema import ENTRIES, conform


def asked(confidence, right, patients=None, *, split="val", agreement=None):
    """Grading answers of given confidence, right or wrong, with their entries."""
    n = len(confidence)
    ids = [f"grading-{k:05d}" for k in range(n)]
    who = [f"p{k}" for k in range(n)] if patients is None else patients
    common = {"task": ["grading"] * n, "template": ["grading.edema.0"] * n, "patient_id": who}
    answers = pl.DataFrame(
        {
            "pseudo_id": ids, **common, "answer": ["1" if r else "0" for r in right],
            "ended": [True] * n, "logprob": np.log(confidence), "agreement": agreement,
        }
    )  # fmt: skip
    entries = pl.DataFrame({"entry_id": ids, **common, "answer": ["1"] * n, "split": [split] * n})
    return conform(answers, PSEUDO), conform(entries, ENTRIES)


def share_right(confidence):
    """True probability of being right at a confidence: from one half to one."""
    return 0.5 + 0.5 * confidence


def true_precision(threshold):
    """Of answers with uniform confidence at or above a threshold."""
    return 0.5 + 0.25 * (1 + threshold)


TEMPTING = 0.845  # a little more than a threshold that is tried has


def promises(sets, n, precision, risk, *, per_patient=1):
    """How often a threshold was given, and how often its true precision was too low."""
    given_, broken = 0, 0
    for seed in range(sets):
        random = np.random.default_rng(seed)
        people = n // per_patient
        confidence = np.repeat(random.random(people), per_patient)
        # answers of a patient are right or wrong together
        luck = np.repeat(random.random(people), per_patient)
        patients = [f"p{k}" for k in np.repeat(np.arange(people), per_patient)]
        answers = asked(confidence, luck < share_right(confidence), patients)
        found = calibrate(*answers, precision, risk=risk).tasks["grading"].threshold
        if found is not None:
            given_ += 1
            broken += true_precision(found) < precision
    return given_, broken


def test_the_bound_holds_at_its_level():
    sets, risk = 300, 0.2
    given_, broken = promises(sets, 300, TEMPTING, risk)
    assert given_ > 0.5 * sets  # it is not honest by saying nothing
    assert broken <= binom.ppf(0.999, sets, risk)


def test_the_observed_precision_alone_would_not_hold():
    sets = 100
    _, broken = promises(sets, 300, TEMPTING, None)
    assert broken > binom.ppf(0.999, sets, 0.2)


def test_the_bound_holds_when_patients_answer_alike():
    sets, risk = 150, 0.2
    given_, broken = promises(sets, 900, TEMPTING, risk, per_patient=4)
    assert given_ > 0.2 * sets
    assert broken <= binom.ppf(0.999, sets, risk)


def test_the_lowest_threshold_that_holds_is_taken():
    confidence = np.linspace(0.01, 0.99, 400)
    found = calibrate(*asked(confidence, confidence > 0.5), 0.9).tasks["grading"]
    assert found.threshold == pytest.approx(0.46, abs=0.05)  # 0.9 of what is above 0.456 is right
    assert found.precision >= found.low >= 0.9
    assert "confidence from" in found.says


def test_a_confident_mistake_at_the_top_does_not_end_the_search():
    confidence = np.linspace(0.01, 0.99, 600)
    right = np.ones(600, dtype=bool)
    right[-3:] = False  # the three most confident answers are wrong
    found = calibrate(*asked(confidence, right), 0.9).tasks["grading"]
    assert found.passing == 600


def test_a_task_out_of_reach_keeps_nothing_and_says_the_best():
    confidence = np.linspace(0.01, 0.99, 200)
    right = np.arange(200) % 2 == 0
    found = calibrate(*asked(confidence, right), 0.9).tasks["grading"]
    assert found.threshold is None
    assert found.best < 0.9 and f"at least {found.best:.3f}" in found.says


def test_too_few_answers_show_nothing_even_if_all_are_right():
    confidence = np.linspace(0.5, 0.9, 20)
    found = calibrate(*asked(confidence, np.ones(20, dtype=bool)), 0.9).tasks["grading"]
    assert found.threshold is None and "too few" in found.says


def test_answers_that_cannot_be_read_are_no_calibration():
    answers, entries = asked(np.full(60, 0.9), np.ones(60, dtype=bool))
    half = pl.int_range(pl.len()) < 30
    unread = answers.with_columns(
        pl.when(half).then(None).otherwise(pl.col("answer")).alias("answer")
    )
    assert calibrate(unread, entries, 0.9).tasks["grading"].judged == 30


def test_only_validation_entries_calibrate():
    answers, entries = asked(np.full(60, 0.9), np.ones(60, dtype=bool), split="test")
    with pytest.raises(ImaxrayError, match="val entries only, but got answers to test"):
        calibrate(answers, entries, 0.9)
    with pytest.raises(ImaxrayError, match="but only 0 are"):
        calibrate(answers, entries.head(0), 0.9)


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5])
def test_a_precision_out_of_range_is_a_sentence(share):
    with pytest.raises(ImaxrayError, match="between 0 and 1"):
        calibrate(*asked(np.full(9, 0.9), np.ones(9, dtype=bool)), share)


def test_agreement_of_some_answers_only_is_a_sentence():
    mixed = [0.5] * 30 + [None] * 30
    with pytest.raises(ImaxrayError, match="30 of 60 have none"):
        calibrate(*asked(np.full(60, 0.9), np.ones(60, dtype=bool), agreement=mixed), 0.9)


def test_agreement_lowers_confidence():
    right = np.arange(400) < 300
    agreement = np.where(right, 1.0, 0.4)
    found = calibrate(*asked(np.full(400, 0.9), right, agreement=agreement), 0.9)
    assert found.samples and found.tasks["grading"].passing == 300


@given(st.integers(1, 200), st.floats(0.01, 0.5), st.data())
@settings(max_examples=60, deadline=None)
def test_the_bound_is_clopper_and_pearsons(n, level, data):
    k = data.draw(st.integers(0, n))
    exact = binomtest(k, n, alternative="greater").proportion_ci(1 - level, "exact").low
    assert lower_bound(k, n, level) == pytest.approx(exact, abs=1e-9)


def test_answers_of_one_patient_count_once_where_they_are_all_alike():
    right = np.repeat([1.0, 0.0, 1.0, 1.0], 5)
    patients = [f"p{k}" for k in np.repeat(np.arange(4), 5)]
    icc = intraclass(right, pl.Series(patients))
    assert icc == pytest.approx(1.0)
    assert design_effect(patients, icc) == pytest.approx(5.0)


def test_strength_compares_tasks_by_how_often_they_are_right():
    random = np.random.default_rng(0)
    confidence = random.random(300)
    answers, entries = asked(confidence, random.random(300) < share_right(confidence))
    found = calibrate(answers, entries, 0.7)
    strengths = found.strengths(answers)
    assert strengths.to_numpy().argsort().tolist() == confidence.argsort().tolist()
    assert abs(strengths.mean() - 0.75) < 0.06
