"""Tests the smallest effect that is found and the seeds that an effect needs, by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from imaxray.dynamics import Estimate, over_seeds, seeds_needed, smallest_effect
from imaxray.dynamics.numbers.power import found_share


def found(effect, deviation, seeds, repeats=20_000):
    """Share of simulated studies whose t interval over seeds leaves out 0."""
    random = np.random.default_rng(seeds)
    values = effect + deviation * random.standard_normal((repeats, seeds))
    half = stats.t.ppf(0.975, seeds - 1) * values.std(axis=1, ddof=1) / seeds**0.5
    return float((np.abs(values.mean(axis=1)) > half).mean())


@pytest.mark.parametrize(("effect", "seeds"), [(0.0, 3), (0.7, 3), (0.7, 8), (2.5, 3), (0.2, 30)])
def test_shares_are_those_of_simulated_studies(effect, seeds):
    assert found_share(effect, 1.0, seeds) == pytest.approx(found(effect, 1.0, seeds), abs=0.015)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_the_smallest_effect_is_found_in_four_of_five_studies(seeds):
    error = 0.3
    one = Estimate(0.1, math.nan, math.nan, error, seeds - 1)
    effect = smallest_effect(one)
    assert found(effect, error * seeds**0.5, seeds) == pytest.approx(0.8, abs=0.02)


def test_seeds_that_are_needed_are_the_fewest():
    for effect in (0.2, 0.5, 1.0, 3.0):
        needed = seeds_needed(effect, 1.0)
        assert found_share(effect, 1.0, needed) >= 0.8
        assert needed == 2 or found_share(effect, 1.0, needed - 1) < 0.8
    assert seeds_needed(-0.5, 1.0) == seeds_needed(0.5, 1.0)


def test_what_cannot_be_said():
    assert seeds_needed(0.0, 1.0) is None and seeds_needed(1e-6, 1.0) is None
    assert math.isnan(smallest_effect(over_seeds([0.1])))
    assert smallest_effect(over_seeds([0.1, 0.1, 0.1])) == pytest.approx(0, abs=1e-12)
    assert seeds_needed(1.0, 0.0) == 2


def test_with_many_seeds_the_normal_quantiles_hold():
    wide = Estimate(0.0, -1, 1, 0.5)
    assert smallest_effect(wide) == pytest.approx((1.959964 + 0.841621) * 0.5, rel=1e-6)
    close = Estimate(0.0, -1, 1, 0.5, 4000)
    assert smallest_effect(close) == pytest.approx(smallest_effect(wide), rel=1e-3)
