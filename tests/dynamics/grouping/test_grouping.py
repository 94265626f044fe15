"""Tests what grouping does to a spectrum: formulas against simulation, draws, tests, effects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaxray.dynamics import Gram, spectrum
from imaxray.dynamics.grouping import (
    DRAWN,
    EFFECTS,
    apart,
    design_effect,
    effects_table,
    entropy_change_limit,
    groups_table,
    h2_change,
    permutation_test,
    permuted,
    sharing,
    sharing_table,
    size_biased,
    together,
    whole_images,
)
from imaxray.dynamics.grouping.draws import difference
from imaxray.dynamics.grouping.sharing import image_codes, permute_within
from imaxray.errors import ImaxrayError


def gradients(sizes, correlation, dimension, random):
    """Gradients of norm one whose cosine within an image is about ``correlation``."""
    rows = []
    for size in sizes:
        of_image = random.standard_normal(dimension)
        own = random.standard_normal((size, dimension))
        rows.append(np.sqrt(correlation) * of_image + np.sqrt(1 - correlation) * own)
    found = np.concatenate(rows)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def labels(sizes):
    return [f"i{k:04}" for k, size in enumerate(sizes) for _ in range(size)]


def plain_h2(gram):
    p = np.clip(np.linalg.eigvalsh(gram), 0, None) / np.trace(gram)
    return -np.log((p**2).sum())


@pytest.mark.parametrize("sizes", [[6] * 8, [1, 1, 1, 9] * 4], ids=["alike", "uneven"])
def test_the_change_of_h2_is_that_of_simulated_gradients(sizes):
    """Traces of many independent batches, in groups and apart, against the formula."""
    random = np.random.default_rng(3)
    dimension, correlation, batches = 60, 0.4, 600
    n = sum(sizes)
    grouped, single = [], []
    for _ in range(batches):
        for found, of in ((grouped, sizes), (single, [1] * n)):
            g = gradients(of, correlation, dimension, random)
            found.append(((g @ g.T) ** 2).sum() / n**2)
    measured = -np.log(np.mean(grouped) / np.mean(single))
    error = np.hypot(np.std(grouped) / np.mean(grouped), np.std(single) / np.mean(single))
    error /= batches**0.5
    big = gradients([2] * 4000, correlation, dimension, random)
    within = ((big[::2] * big[1::2]).sum(axis=1) ** 2).mean()
    across = ((big[:-2] * big[2:]).sum(axis=1) ** 2).mean()
    formula = h2_change(size_biased(sizes), within, across, n)
    assert measured == pytest.approx(formula, abs=4 * error)
    assert formula < -0.1
    mean = h2_change(float(np.mean(sizes)), within, across, n)
    if len(set(sizes)) > 1:  # the mean size in place of the size-biased one is wrong by half
        assert abs(mean) < 0.55 * abs(formula)
        assert abs(mean - measured) > 20 * error
    else:
        assert mean == formula


@pytest.mark.parametrize(("g", "r"), [(2, 0.3), (5, 0.1), (7, 0.5), (7, 1.0), (3, 0.0)])
def test_the_largest_change_of_entropy_is_that_of_blocks(g, r):
    """The Gram matrix of isotropic gradients in many dimensions has one block per image."""
    block = (1 - r) * np.eye(g) + r
    gram = np.kron(np.eye(6), block)
    assert spectrum(gram).se - np.log(6 * g) == pytest.approx(entropy_change_limit(g, r), abs=1e-9)


@pytest.mark.parametrize("sizes", [[4] * 30, [1, 1, 1, 9] * 10], ids=["alike", "uneven"])
def test_the_design_effect_is_the_ratio_of_the_variances_of_means(sizes):
    random = np.random.default_rng(5)
    icc, repeats, n = 0.25, 20_000, sum(sizes)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    of_image = random.standard_normal((repeats, len(sizes)))[:, codes] * np.sqrt(icc)
    values = of_image + random.standard_normal((repeats, n)) * np.sqrt(1 - icc)
    ratio = values.mean(axis=1).var() * n
    assert ratio == pytest.approx(design_effect(size_biased(sizes), icc), rel=0.05)
    if len(set(sizes)) > 1:
        assert design_effect(float(np.mean(sizes)), icc) < 0.65 * ratio


def test_similarities_are_those_of_a_loop_over_pairs_and_images():
    random = np.random.default_rng(1)
    sizes = [1, 3, 2, 4, 2]
    g = gradients(sizes, 0.5, 7, random) * random.uniform(0.5, 2, (12, 1))
    gram, images = g @ g.T, labels(sizes)

    def by_loop(keep):
        inside, outside = [], []
        for i in keep:
            for j in keep:
                if i < j:
                    (inside if images[i] == images[j] else outside).append(gram[i, j])
        norm = np.mean([gram[i, i] for i in keep])
        w, b = np.mean(inside) / norm, np.mean(outside) / norm
        squares = [np.mean(np.square(x)) / norm**2 for x in (inside, outside)]
        return {"within": squares[0], "across": squares[1], "cosine_within": w,
                "cosine_across": b, "icc": (w - b) / (1 - b)}  # fmt: skip

    found = sharing(gram, images)
    wanted = by_loop(range(12))
    for name, value in wanted.items():
        one = getattr(found, name)
        assert one.value == pytest.approx(value, abs=1e-12), name
        less = [by_loop([i for i in range(12) if images[i] != left])[name]
                for left in sorted(set(images))]  # fmt: skip
        error = np.sqrt(4 / 5 * ((np.array(less) - np.mean(less)) ** 2).sum())
        assert one.error == pytest.approx(error, rel=1e-9), name
    assert found.group == size_biased(sizes) and found.images == 5


def test_the_intraclass_correlation_is_the_one_that_was_put_in():
    random = np.random.default_rng(2)
    found = sharing(*_pool([4] * 150, 0.3, 80, random))
    assert found.icc.value == pytest.approx(0.3, abs=0.03)
    assert found.icc.low < 0.3 < found.icc.high


def _pool(sizes, correlation, dimension, random):
    g = gradients(sizes, correlation, dimension, random)
    return g @ g.T, labels(sizes)


@pytest.mark.parametrize("strata", [False, True])
def test_the_permutation_test_has_the_right_size(strata):
    """Gradients that differ by task alone, not by image: 5 % of p-values are at most 0.05."""
    random = np.random.default_rng(8)
    images = labels([3] * 8)
    tasks = [f"t{k % 3}" for k in range(24)]
    shift = np.array([[3.0 * (k % 3 == t) for t in range(6)] for k in range(24)])
    refused = 0
    for repeat in range(1500):
        g = random.standard_normal((24, 6)) + (shift if strata else 0)
        p = permutation_test(
            g @ g.T, images, tasks if strata else None, permutations=99, seed=repeat
        )
        refused += p <= 0.05
    assert refused / 1500 == pytest.approx(0.05, abs=0.015)


def test_the_permutation_test_finds_images():
    gram, images = _pool([3] * 20, 0.3, 40, np.random.default_rng(4))
    assert permutation_test(gram, images, permutations=199) == 1 / 200


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_permutations_keep_strata(kinds, seed):
    kinds = np.array(kinds)
    order = permute_within(kinds, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(kinds)))
    assert (kinds[order] == kinds).all()


@given(st.lists(st.integers(1, 6), min_size=4, max_size=20), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_draws_are_what_they_are_called(sizes, seed):
    codes = image_codes(labels(sizes))
    random = np.random.default_rng(seed)
    n = len(codes)
    entries = 1 + seed % n
    drawn = whole_images(codes, entries, random)
    assert len(set(drawn)) == entries
    cut = [k for k in set(codes[drawn]) if (codes[drawn] == k).sum() < sizes[k]]
    assert len(cut) <= 1  # only the last image may be cut
    single = apart(codes, min(entries, len(sizes)), random)
    assert len(set(codes[single])) == len(single) == min(entries, len(sizes))
    kinds = np.arange(n) % 2
    mixed = permuted(codes, kinds, entries, random)
    assert len(set(mixed)) == entries


def test_both_ways_draw_entries_of_large_images_more_often():
    """Images of four entries hold 0.4 of all entries, but are a quarter of the images."""
    codes = image_codes(labels([1, 2, 3, 4] * 15))
    random = np.random.default_rng(0)
    shares = []
    for draw in (whole_images, apart):
        drawn = np.concatenate([draw(codes, 15, random) for _ in range(2000)])
        shares.append(float((codes[drawn] % 4 == 3).mean()))
    assert shares == pytest.approx([0.4, 0.4], abs=0.03)


def test_the_interval_of_a_difference_covers_other_images_and_draws():
    """The error is that of differences over pools that were drawn anew."""
    values, errors = [], []
    for seed in range(60):
        gram, images = _pool([4] * 30, 0.4, 25, np.random.default_rng(seed))
        drawn = together(gram, images, ["t"] * 120, 16, draws=150, seed=seed)
        one = difference(drawn["whole"], drawn["apart"])["se"]
        values.append(one.value)
        errors.append(one.error)
    assert np.mean(values) < -0.1
    assert 0.6 < np.sqrt(np.mean(np.square(errors))) / np.std(values) < 1.7


def gram_of(matrix, images, tasks=None):
    n = len(images)
    ids = tuple(f"e{k}" for k in range(n))
    return Gram({"all": matrix}, ids=ids, tasks=tuple(tasks or ["vqa"] * n), images=tuple(images))


def cells(seed, same_model=False):
    """Two models on the pools of two datasets; the first has more entries per image."""
    found = {}
    for data, sizes in enumerate(([5] * 20, [1, 2] * 25)):
        for model in (0, 1):
            source = np.random.default_rng([seed, data, 0 if same_model else model])
            matrix, images = _pool(sizes, 0.4 if model == 0 or same_model else 0.2, 30, source)
            found[model, data] = gram_of(matrix, images)
    return found


def test_effects_add_up_to_the_naive_difference():
    table = effects_table([cells(0), cells(1), cells(2)], [8, 16], draws=60)
    for row in table.iter_rows(named=True):
        assert row["sampling"] + row["entry"] + row["training"] == pytest.approx(row["naive"])
        assert row["naive_low"] < row["naive"] < row["naive_high"]
    assert set(table["entries"]) == {8, 16} and set(table["statistic"]) == set(DRAWN)
    se = table.filter(statistic="se", reduction="unit-norm", entries=16).row(0, named=True)
    assert se["sampling_high"] < 0  # drawing whole images alone lowers SE


def test_equal_weights_have_no_effect_of_training():
    table = effects_table([cells(0, True), cells(1, True)], [8, 16], draws=40)
    assert (table["training"] == 0).all()
    assert (table["training_low"] == 0).all() and (table["training_high"] == 0).all()
    assert (table["sampling"] != 0).all()


def test_weights_of_effects_are_differences():
    for name, weights in EFFECTS.items():
        assert sum(weights.values()) == 0, name
    total = {}
    for name in ("sampling", "entry", "training"):
        for cell, weight in EFFECTS[name].items():
            total[cell] = total.get(cell, 0) + weight
    assert {cell: weight for cell, weight in total.items() if weight} == dict(EFFECTS["naive"])


def test_tables_have_rows_per_run_and_a_mean_over_runs():
    sizes = [4] * 12
    runs = {}
    for seed in range(3):
        matrix, images = _pool(sizes, 0.5, 30, np.random.default_rng(seed))
        runs[f"run-{seed}"] = {100: gram_of(matrix, images)}
    shared = sharing_table(runs, permutations=50)
    assert shared["run"].to_list() == [*runs, "mean"] * 2
    assert shared.filter(run="mean")["p"].is_null().all()
    mean = shared.filter(run="mean", reduction="unit-norm").row(0, named=True)
    of = shared.filter(reduction="unit-norm").head(3)
    assert mean["icc"] == pytest.approx(of["icc"].mean())
    assert mean["icc_high"] - mean["icc_low"] > (of["icc_high"] - of["icc_low"]).min()
    table = groups_table(runs, [8, 12, 32, 512], draws=40)
    assert set(table["entries"]) == {8, 12, 32}  # the pool has 48 entries
    assert table.filter(entries=32)["apart"].is_null().all()  # of 12 images
    at = table.filter(run="mean", statistic="h2", entries=12, reduction="unit-norm")
    row = at.row(0, named=True)
    assert row["observed"] == pytest.approx(row["formula"], abs=0.12) and row["formula"] < 0
    assert row["simulated"] < 0
    again = groups_table(runs, [8, 12, 32, 512], draws=40)
    assert again.equals(table)


def test_too_few_images_are_refused():
    with pytest.raises(ImaxrayError, match="three images or more"):
        sharing(np.eye(4), ["a", "a", "b", "b"])
    with pytest.raises(ImaxrayError, match="three images or more"):
        sharing(np.eye(4), ["a", "b", "c", "d"])
    with pytest.raises(ImaxrayError, match="at least 100 images"):
        effects_table([cells(0)], [100])
