"""Tests how small a mean gain a comparison could have found, against repeated comparisons."""

import math

import numpy as np
import pytest

from imaxray.evaluation.comparing.power import Power, power_of, power_sentences


def draws(seed, patients, seeds, sd_patients, sd_seeds, gain=0.0, resamples=400):
    """Mean gain of one study with its resamples over patients and seeds, and over patients alone.

    The gain of a patient under a seed is a sum of both effects, which is the simplest case.
    """
    random = np.random.default_rng(seed)
    of_patients = gain + sd_patients * random.standard_normal(patients)
    of_seeds = sd_seeds * random.standard_normal(seeds)
    weights = random.multinomial(patients, np.full(patients, 1 / patients), size=resamples)
    alone = np.r_[of_patients.mean(), weights @ of_patients / patients] + of_seeds.mean()
    again = of_seeds[random.integers(seeds, size=(resamples, seeds))].mean(axis=1)
    scale = math.sqrt(seeds / (seeds - 1)) if seeds > 1 else 0
    both = alone.copy()
    both[1:] += scale * (again - of_seeds.mean())
    return both, alone


def test_errors_are_split_into_patients_and_seeds():
    found = [power_of(*draws(s, 200, 20, 0.4, 0.1), 20, 0.95) for s in range(40)]
    assert np.mean([one.patients_error for one in found]) == pytest.approx(0.4 / 200**0.5, rel=0.1)
    assert np.mean([one.seeds_error for one in found]) == pytest.approx(0.1 / 20**0.5, rel=0.15)


def test_the_smallest_gain_is_found_in_four_of_five_studies():
    power = power_of(*draws(0, 300, 30, 0.4, 0.1, resamples=4000), 30, 0.95)
    found = 0
    for seed in range(1, 301):
        both, _ = draws(seed, 300, 30, 0.4, 0.1, gain=power.smallest, resamples=300)
        low, high = np.quantile(both[1:], [0.025, 0.975])
        found += low > 0 or high < 0
    assert found / 300 == pytest.approx(0.8, abs=0.08)


def test_more_seeds_find_smaller_gains_until_patients_limit():
    power = Power(3, 0.01, 0.02, 0.063, 0.95)
    needed = [power.seeds_for(gain) for gain in (0.2, 0.06, 0.04, 0.03)]
    assert needed == sorted(needed) and needed[0] == 1
    assert power.seeds_for(0.0279) is None  # 2.8 standard errors over patients alone
    several = Power(power.seeds_for(0.04), 0.01, 0.02 * (3 / power.seeds_for(0.04)) ** 0.5, 0, 0.95)
    assert 2.8016 * math.hypot(several.patients_error, several.seeds_error) <= 0.04


def test_one_training_per_arm_says_so():
    one = power_of(*draws(0, 50, 1, 0.3, 0.0), 1, 0.95)
    assert math.isnan(one.seeds_error) and one.seeds_for(0.5) is None
    [line] = power_sentences({"imax": one}, {"imax": 0.1})
    assert "with one training per arm, the error between trainings is unknown" in line


def test_sentences():
    power = Power(3, 0.01, 0.02, 0.063, 0.95)
    lines = power_sentences({"a": power, "b": power, "c": power}, {"a": 0.04, "b": 0.01, "c": None})
    assert lines[0].endswith("in 80% of such comparisons; +4.0% needs about 12 seeds per arm.")
    assert "no number of seeds would suffice for +1.0%" in lines[1]
    assert lines[2].endswith("in 80% of such comparisons.")
