"""Tests statistics of K on populations whose spectra and task gradients are known."""

import numpy as np
import pytest

from imaxray.dynamics import (
    STATISTICS,
    Gram,
    centred,
    contrast,
    crossed_probes,
    estimate,
    n_curve,
    spectrum,
    subsamples,
    task_geometry,
    two_probes,
)
from imaxray.errors import ImaxrayError

EIGENVALUES = 1 / np.arange(1, 41)
H2 = -np.log((EIGENVALUES**2).sum() / EIGENVALUES.sum() ** 2)


def gradients(random, *shape, shift=0.0):
    return random.normal(size=(*shape, 40)) * np.sqrt(EIGENVALUES) + shift


def gram(g):
    return g @ np.swapaxes(g, -1, -2)


def test_worked_case():
    """K = diag(2, 1, 1): eigenvalues of F 2/3, 1/3, 1/3; p = 1/2, 1/4, 1/4."""
    found = spectrum(np.diag([2.0, 1.0, 1.0]))
    assert found.se == pytest.approx(1.5 * np.log(2))
    assert found.rho == pytest.approx(0.5)
    assert found.effective_rank == pytest.approx(2**1.5)
    assert found.trace == pytest.approx(4 / 3)
    assert found.eigenvalues == pytest.approx((2 / 3, 1 / 3, 1 / 3))
    assert np.isnan(found.h2)  # orthogonal gradients: no pair tells of a common direction


def test_h2_of_a_worked_case():
    k = np.array([[1.0, 0.5], [0.5, 1.0]])
    assert spectrum(k).h2 == pytest.approx(np.log(4))


def test_spectrum_of_the_fisher_itself():
    g = gradients(np.random.default_rng(1), 12, shift=0.3)
    for centre in (False, True):
        x = g - g.mean(0) if centre else g
        values = np.sort(np.linalg.eigvalsh(x.T @ x / 12))[::-1][:12]
        found = spectrum(gram(g), centre=centre)
        p = np.clip(values, 0, None) / values.sum()
        assert np.allclose(found.eigenvalues, np.clip(values, 0, None), atol=1e-12)
        assert found.se == pytest.approx(-(p[p > 0] * np.log(p[p > 0])).sum())
        assert found.rho == pytest.approx(p[0])


def test_mean_gradient_is_one_spike():
    g = gradients(np.random.default_rng(2), 64, shift=2.0)
    assert spectrum(gram(g)).rho > 0.9
    assert spectrum(gram(g), centre=True).rho < 0.4


@pytest.mark.parametrize("shift", [0.0, 1.0])
@pytest.mark.parametrize("n", [6, 48])
def test_unbiased_traces_at_any_n(n, shift):
    """H2's two traces, each on average over many probes, are those of the population."""
    from imaxray.dynamics.numbers.spectrum import _distinct

    random = np.random.default_rng(3)
    k = gram(gradients(random, 20_000 if n == 6 else 2_000, n, shift=shift))
    off = k * (1 - np.eye(n))
    a, b, c = _distinct(off)
    squared = (
        a / (n * (n - 1)) - 2 * b / (n * (n - 1) * (n - 2))
        + c / (n * (n - 1) * (n - 2) * (n - 3))
    )  # fmt: skip
    assert squared.mean() == pytest.approx((EIGENVALUES**2).sum(), rel=0.05)
    assert STATISTICS["trace_centred"](k).mean() == pytest.approx(EIGENVALUES.sum(), rel=0.02)


def test_h2_hardly_depends_on_n_and_se_does():
    random = np.random.default_rng(4)
    small, large = (gram(gradients(random, 400, n)) for n in (24, 96))
    assert abs(STATISTICS["h2"](small).mean() - STATISTICS["h2"](large).mean()) < 0.1
    assert STATISTICS["se"](large).mean() - STATISTICS["se"](small).mean() > 0.3
    for name, data in (("h2", large), ("h2_centred", large)):
        assert STATISTICS[name](data).mean() == pytest.approx(H2, abs=0.04)


@pytest.mark.parametrize("name", ["se", "rho", "h2", "trace", "h2_centred"])
def test_known_spectra_lie_in_their_intervals(name):
    """Nominal 95 %; between 88 and 98 % is what docs state for N = 48 and Gaussian gradients."""
    random = np.random.default_rng(5)
    if name.startswith("h2"):
        truth = H2
    else:
        truth = STATISTICS[name](gram(gradients(random, 3000, 48))).mean()
    inside = 0
    for _ in range(200):
        found = estimate(gram(gradients(random, 48)), name)
        inside += found.low <= truth <= found.high
    assert 176 <= inside <= 198


def test_strata_are_taken_out_of_the_error():
    """Tasks of very different scale: with fixed quotas their mix is no source of error."""
    random = np.random.default_rng(6)
    tasks = ["a"] * 24 + ["b"] * 24
    g = gradients(random, 48)
    g[24:] *= 6
    plain = estimate(gram(g), "trace")
    stratified = estimate(gram(g), "trace", strata=tasks)
    assert stratified.error < 0.7 * plain.error
    with pytest.raises(ImaxrayError, match="merge strata"):
        estimate(gram(g), "trace", strata=["a"] * 47 + ["b"])


def test_one_population_two_probes_shows_no_difference():
    random = np.random.default_rng(7)
    tasks = ["a"] * 8 + ["b"] * 8
    scale = np.repeat([1.0, 3.0], 8)[:, None]
    low = 0
    for trial in range(800):
        g = np.concatenate([gradients(random, 16) * scale, gradients(random, 16) * scale])
        _, p = two_probes(
            gram(g), [False] * 16 + [True] * 16, "se", strata=tasks * 2,
            permutations=99, seed=trial,
        )  # fmt: skip
        low += p <= 0.05
    assert 0.03 <= low / 800 <= 0.07


def test_two_populations_show():
    random = np.random.default_rng(8)
    narrow = random.normal(size=(32, 40)) * np.sqrt(EIGENVALUES**2)
    g = np.concatenate([gradients(random, 32), narrow])
    difference, p = two_probes(gram(g), [False] * 32 + [True] * 32, "se")
    assert difference < 0
    assert p < 0.01


def arms(random, seeds, effect=0.0, n=24):
    """Runs of two arms on one probe: each run has its own slightly turned and scaled gradients."""
    probe = random.normal(size=(n, 40))
    runs = []
    for arm in range(2):
        for _ in range(seeds):
            power = 1 + 0.15 * random.normal() + effect * arm
            runs.append(
                probe * np.arange(1, 41) ** (-power / 2) + 0.1 * random.normal(size=(n, 40))
            )
    grams = [Gram({"all": gram(run)}) for run in runs]
    return grams[:seeds], grams[seeds:]


def test_one_population_of_runs_shows_no_difference():
    """False positives at the 5 % level over 1,000 studies of three seeds an arm."""
    random = np.random.default_rng(9)
    seeds_only = both = 0
    for _ in range(1000):
        found = contrast(*arms(random, 3), "h2", draws=2)
        seeds_only += not found.over_seeds.low <= 0 <= found.over_seeds.high
        both += not found.difference.low <= 0 <= found.difference.high
    assert 0.03 <= seeds_only / 1000 <= 0.07
    assert both <= seeds_only  # the probe's error only widens


def test_contrast_finds_an_effect_and_its_sign():
    found = contrast(*arms(np.random.default_rng(10), 4, effect=1.0), "se", draws=20)
    assert found.difference.low > 0
    assert found.ordering_holds
    assert [point["entries"] for point in found.curve] == [6, 12, 24]


def test_pairing_spares_the_probes_error():
    random = np.random.default_rng(11)
    a, b = arms(random, 3)
    paired = contrast(a, b, "se", draws=2).probe_error
    alone = [estimate(run.matrix, "se").error for run in (a[0], b[0])]
    assert paired < 0.5 * np.hypot(*alone)


def test_contrast_wants_one_probe():
    a, b = arms(np.random.default_rng(12), 2)
    other = [Gram(g.groups, ids=tuple("x" * 24)) for g in b]
    with pytest.raises(ImaxrayError, match="same entries"):
        contrast(a, other, "se")
    with pytest.raises(ImaxrayError, match="two seeds"):
        contrast(a[:1], b[:1], "se")


def test_crossed_probes_tell_model_from_probe():
    """The models are equal, the probes are not: the whole difference is the probe's."""
    random = np.random.default_rng(13)
    wide, narrow = gradients(random, 32), random.normal(size=(32, 40)) * EIGENVALUES
    grams = {
        (m, p): Gram({"all": gram(g)})
        for m in ("imax", "dmax")
        for p, g in (("imax", narrow), ("dmax", wide))
    }
    found = crossed_probes(grams, "se")
    assert found["model"] == 0
    assert found["interaction"] == 0
    assert found["own"] == pytest.approx(found["probe"])
    assert found["probe"] < -0.3


def test_subsamples_keep_the_strata():
    strata = ["a"] * 20 + ["b"] * 10 + ["c"] * 3
    index = subsamples(strata, 16, 50, seed=1)
    assert index.shape == (50, 16)
    for row in index:
        assert len(set(row)) == 16
        counts = np.bincount(np.array([0] * 20 + [1] * 10 + [2] * 3)[row])
        assert tuple(counts) in {(10, 5, 1), (9, 5, 2), (10, 4, 2)}
    assert len({tuple(row) for row in index}) > 40
    with pytest.raises(ImaxrayError, match="larger probe"):
        subsamples(strata, 4, 5, seed=1)


def test_n_curve_rises_for_se():
    rows = n_curve(gram(gradients(np.random.default_rng(14), 64)), "se")
    assert [row["entries"] for row in rows] == [16, 32, 64]
    assert rows[0]["value"] < rows[1]["value"] < rows[2]["value"]


def task_gradients(random, n, cosine, sizes=(1.0, 1.0)):
    """Two tasks whose mean gradients have a given cosine and sizes, in much noise."""
    first = np.zeros(30)
    first[0] = sizes[0]
    second = np.zeros(30)
    second[0], second[1] = sizes[1] * cosine, sizes[1] * np.sqrt(1 - cosine**2)
    noise = random.normal(size=(2 * n, 30)) * 0.35
    return np.concatenate([np.tile(first, (n, 1)), np.tile(second, (n, 1))]) + noise


def test_debiased_cosine_is_the_true_one():
    random = np.random.default_rng(15)
    tasks = ["a"] * 8 + ["b"] * 8
    found = [task_geometry(gram(task_gradients(random, 8, 0.8)), tasks) for _ in range(300)]
    cosines = [f.cosine[0, 1] for f in found]
    assert np.isnan(cosines).mean() < 0.1
    assert np.nanmedian(cosines) == pytest.approx(0.8, abs=0.04)
    assert np.mean([f.raw_cosine[0, 1] for f in found]) < 0.6


def test_magnitudes_and_conflicts():
    random = np.random.default_rng(16)
    tasks = ["a"] * 200 + ["b"] * 200
    found = task_geometry(gram(task_gradients(random, 200, -0.5, (1.0, 2.0))), tasks)
    assert found.magnitude_similarity[0, 1] == pytest.approx(2 * 2 / 5, abs=0.05)
    assert found.cosine[0, 1] == pytest.approx(-0.5, abs=0.08)
    assert found.conflict_rate == 1.0
    assert found.pair_conflict[0, 1] > 0.5
    assert found.pair_conflict[0, 0] < 0.5
    assert found.pairs()[0]["task"] == "a"


def test_entries_of_one_image_can_be_left_out():
    """Tasks that agree by the image alone: with its pairs left out nothing is left."""
    random = np.random.default_rng(17)
    own = random.normal(size=(60, 200))
    g = np.concatenate([own, own]) + 0.3 * random.normal(size=(120, 200)) + 0.25
    tasks = ["a"] * 60 + ["b"] * 60
    images = [str(i) for i in range(60)] * 2
    with_pairs = task_geometry(gram(g - 0.25), tasks)
    without = task_geometry(gram(g), tasks, images=images)
    both = task_geometry(gram(g), tasks)
    assert both.cosine[0, 1] > without.cosine[0, 1]
    assert without.cosine[0, 1] == pytest.approx(1.0, abs=0.15)
    assert with_pairs.pair_conflict[0, 1] < 0.52


def test_nan_is_told():
    with pytest.raises(ImaxrayError, match="finite"):
        spectrum(np.array([[1.0, np.nan], [np.nan, 1.0]]))
    with pytest.raises(ImaxrayError, match="a statistic, one of se"):
        estimate(np.eye(3), "entropy")


def test_centred_rows_sum_to_zero():
    k = centred(gram(gradients(np.random.default_rng(18), 9, shift=1.0)))
    assert np.abs(k.sum(0)).max() < 1e-10
