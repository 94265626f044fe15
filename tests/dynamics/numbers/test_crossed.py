"""Tests two models on two probes: the parts add up, and their intervals have their level."""

import numpy as np
import pytest

from imaxray.dynamics import Gram, crossed_over_seeds, crossed_probes, spectrum
from imaxray.errors import ImaxrayError

N, D = 28, 20
TASKS = ("vqa", "rec") * (N // 2)


def grams(random, seeds, model_shift=0.0, probe_shift=0.0):
    """Gradients with a spectrum that model, probe, seed and chance decide."""
    probes = {p: random.normal(size=(N, D)) for p in ("imax", "dmax")}
    found = []
    for _ in range(seeds):
        of = {}
        for model in ("imax", "dmax"):
            own = 0.02 * random.normal()
            for probe, entries in probes.items():
                power = 1 + own + model_shift * (model == "imax") + probe_shift * (probe == "imax")
                g = entries * np.arange(1, D + 1) ** (-power / 2)
                of[model, probe] = Gram({"mlp": g @ g.T}, tasks=TASKS)
        found.append(of)
    return found


def test_values_and_parts_are_means_over_seeds():
    seeds = grams(np.random.default_rng(0), 3, 0.3, 0.1)
    found = crossed_over_seeds(seeds, ["se", "rho"])["se"]
    for i, model in enumerate(("imax", "dmax")):
        for j, probe in enumerate(("imax", "dmax")):
            mean = np.mean([spectrum(of[model, probe].matrix).se for of in seeds])
            assert found.values[i][j] == pytest.approx(mean)
    for term in ("own", "model", "probe", "interaction"):
        mean = np.mean([crossed_probes(of, "se")[term] for of in seeds])
        assert found.terms[term].value == pytest.approx(mean)
        assert found.terms[term].low <= found.for_these[term].low
    assert found.terms["own"].value == pytest.approx(
        found.terms["model"].value + found.terms["probe"].value
    )


def test_a_model_is_told_apart_and_another_draw_of_entries_is_not():
    random = np.random.default_rng(1)
    model, probe, seeds_only = [], [], []
    for _ in range(25):
        found = crossed_over_seeds(grams(random, 3, model_shift=1.0), ["se"])["se"]
        model.append(found.terms["model"].high < 0)
        at = found.terms["probe"]
        probe.append(at.low > 0 or at.high < 0)
        at = found.for_these["probe"]
        seeds_only.append(at.low > 0 or at.high < 0)
    assert np.mean(model) > 0.9
    assert np.sum(probe) <= 4  # 5 % nominal; more than 4 of 25 has p < 0.01
    assert np.mean(seeds_only) > 0.5  # what an interval over seeds alone would have claimed


def test_one_seed_has_no_interval_and_none_is_an_error():
    found = crossed_over_seeds(grams(np.random.default_rng(2), 1), ["se"])["se"]
    assert np.isnan(found.terms["own"].low)
    with pytest.raises(ImaxrayError, match="one seed or more"):
        crossed_over_seeds([], ["se"])
