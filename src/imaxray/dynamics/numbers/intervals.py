"""Intervals and comparisons that a Gram matrix allows, by subsampling without replacement.

The bootstrap with replacement is biased for spectra: twins among the entries make a matrix of lower
rank. Errors come from the subsets that lack one entry (the jackknife), stratum by stratum, because
the task mix moves every statistic and a probe fixes it. Larger holes were tried and cover less:
their subsamples have another N.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from imaxray.dynamics.numbers.gram import Gram
from imaxray.dynamics.numbers.spectrum import several, statistic
from imaxray.errors import ImaxrayError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    Attributes:
        value: on all entries.
        low: lower end.
        high: upper end.
        error: standard error.
        degrees: degrees of freedom of the t quantile; infinite for a normal one.
    """

    value: float
    low: float
    high: float
    error: float
    degrees: float = float("inf")


def subsamples(strata: Sequence[str], size: int, draws: int, seed: int) -> Indices:
    """Subsets of ``size`` of the N entries without replacement, (draws, size), each sorted.

    Every stratum keeps its share: floor of it always, the rest by largest remainder.

    Raises:
        ImaxrayError: ``size`` is not below N, or too small to hold every stratum.
    """
    names, code = np.unique(np.asarray(strata), return_inverse=True)
    n = len(code)
    exact = np.bincount(code) * size / n
    quota = np.floor(exact).astype(int)
    rest = np.argsort(quota - exact, kind="stable")[: size - quota.sum()]
    quota[rest] += 1
    if not 0 < size < n or (quota == 0).any():
        raise ImaxrayError(
            f"Expected a subsample that holds each of {len(names)} strata, smaller than {n} "
            f"entries, but got {size}; take a larger probe."
        )
    random = np.random.default_rng(seed)
    parts = []
    for stratum, count in enumerate(quota):
        members = np.flatnonzero(code == stratum)
        keys = random.random((draws, len(members)))
        parts.append(members[np.argsort(keys, axis=1)[:, :count]])
    return np.sort(np.concatenate(parts, axis=1), axis=1)


def estimate(
    gram: Floats,
    name: str,
    *,
    strata: Sequence[str] | None = None,
    level: float = 0.95,
) -> Estimate:
    """A statistic of one Gram matrix with its interval over probes like this one.

    Stratified jackknife: error² = Σ_h (n_h − 1)/n_h Σ_i (θ₍ᵢ₎ − mean)², a t quantile with N less
    the strata degrees of freedom. What the interval is for: H2 and trace of the population; for
    SE, rho and effective rank their expectation *at this N*. Gradient norms with a heavy tail make
    it too narrow; unit-norm rows do not have one.

    Args:
        gram: (N, N).
        name: of the statistic (:data:`STATISTICS`).
        strata: stratum of each entry (task, or task and length), two or more entries each; one
            stratum when None.
        level: of the interval.

    Raises:
        ImaxrayError: unknown statistic, or a stratum of one entry.
    """
    code = _strata(strata, len(gram))
    error = _jackknife_error(_values(gram, _all_but_one(len(gram)), [name])[name], code)
    degrees = len(gram) - int(code.max()) - 1
    return _with_error(float(statistic(name)(gram)), error, level, degrees)


def n_curve(
    gram: Floats,
    name: str,
    *,
    strata: Sequence[str] | None = None,
    draws: int = 50,
    seed: int = 0,
) -> list[dict[str, float]]:
    """The statistic at N/4, N/2 and N entries: value (mean over subsamples) and their deviation.

    An ordering of two arms that holds at all three does not hang on N.
    """
    n = len(gram)
    rows = []
    for size in (n // 4, n // 2):
        index = subsamples(strata or ["all"] * n, size, draws, seed)
        values = _values(gram, index, [name])[name]
        rows.append(
            {"entries": size, "value": float(values.mean()), "deviation": float(values.std(ddof=1))}
        )
    rows.append({"entries": n, "value": float(statistic(name)(gram)), "deviation": 0.0})
    return rows


def over_seeds(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Mean of one value a seed, with a t interval; one seed has none (NaN)."""
    at = np.asarray(values, dtype=np.float64)
    if len(at) < 2:
        nan = float("nan")
        return Estimate(float(at.mean()) if len(at) else nan, nan, nan, nan, 0)
    error = float(at.std(ddof=1)) / len(at) ** 0.5
    return _with_error(float(at.mean()), error, level, len(at) - 1)


@dataclass(frozen=True)
class Contrast:
    """A statistic under arm a less that under arm b, on one probe, over seeds.

    Attributes:
        name: of the statistic.
        a: its value for each seed of arm a.
        b: likewise.
        difference: mean of the paired differences; interval over seeds *and* probes.
        over_seeds: the same with the interval over seeds only, for this very probe.
        probe_error: standard error that comes from the probe.
        curve: the difference at N/4, N/2 and N.
    """

    name: str
    a: tuple[float, ...]
    b: tuple[float, ...]
    difference: Estimate
    over_seeds: Estimate
    probe_error: float
    curve: tuple[dict[str, float], ...]

    @property
    def ordering_holds(self) -> bool:
        """Whether the difference has one sign at N/4, N/2 and N."""
        return len({np.sign(point["value"]) for point in self.curve}) == 1


def contrast(
    a: Sequence[Gram],
    b: Sequence[Gram],
    name: str,
    *,
    strata: Sequence[str] | None = None,
    draws: int = 50,
    seed: int = 0,
    level: float = 0.95,
) -> Contrast:
    """Compare two arms, seed by seed, on one probe: arm a less arm b.

    Seeds give a t interval of the mean paired difference. The probe is common to all seeds, so its
    error is not in their spread: it comes from leaving the same entry out of every run, and adds.
    Degrees of freedom stay those of the seeds: Satterthwaite's were tried and let 7 % through at
    the 5 % level with three seeds.

    Args:
        a: one Gram matrix a seed; all on the same entries in the same order.
        b: likewise, the same number; pairs are at the same checkpoint by entries seen.
        name: of the statistic.
        strata: stratum of each entry; tasks of the first Gram matrix when None.
        draws: subsamples of the N-curve.
        seed: of their drawing.
        level: of the intervals.

    Raises:
        ImaxrayError: fewer than two pairs, or Gram matrices of different entries.
    """
    return contrasts(a, b, [name], strata=strata, draws=draws, seed=seed, level=level)[name]


def contrasts(
    a: Sequence[Gram],
    b: Sequence[Gram],
    names: Sequence[str],
    *,
    strata: Sequence[str] | None = None,
    draws: int = 50,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Contrast]:
    """:func:`contrast` of several statistics, with the eigenvalues computed once for all."""
    if len(a) != len(b) or len(a) < 2:
        raise ImaxrayError(
            f"Expected two seeds or more in both arms (three to report), but got {len(a)} and "
            f"{len(b)}; train more."
        )
    grams = [*a, *b]
    first = grams[0]
    for other in grams[1:]:
        same = other.ids == first.ids and len(other) == len(first)
        if not same or other.reduction != first.reduction:
            raise ImaxrayError(
                "Expected all runs to be probed on the same entries under one reduction, but they "
                "differ; use one probe for both arms, or crossed_probes()."
            )
    if strata is None:
        strata = first.tasks
    matrices = [gram.matrix for gram in grams]
    n = len(first)
    index = _all_but_one(n)
    whole = [several(matrix, names) for matrix in matrices]
    without = [_values(matrix, index, names) for matrix in matrices]
    fewer: dict[int, list[dict[str, Floats]]] = {}
    for size in (n // 4, n // 2):
        index = subsamples(strata or ["all"] * n, size, draws, seed)
        fewer[size] = [_values(matrix, index, names) for matrix in matrices]
    code = _strata(strata, n)
    return {
        name: _contrast(
            name,
            np.array([float(values[name]) for values in whole]),
            np.stack([values[name] for values in without]),
            {size: np.array([v[name].mean() for v in of]) for size, of in fewer.items()},
            code,
            level,
        )
        for name in names
    }


def _contrast(
    name: str,
    values: Floats,
    without: Floats,
    fewer: Mapping[int, Floats],
    code: Indices,
    level: float,
) -> Contrast:
    """From each run's statistic on all entries, less each one, and on fewer; a's runs first."""
    pairs, n = len(values) // 2, without.shape[1]
    differences = values[:pairs] - values[pairs:]
    mean = float(differences.mean())
    seed_variance = float(differences.var(ddof=1)) / pairs
    probe_error = _jackknife_error(
        without[:pairs].mean(axis=0) - without[pairs:].mean(axis=0), code
    )
    variance = seed_variance + probe_error**2
    curve = [
        {"entries": float(size), "value": float((at[:pairs] - at[pairs:]).mean())}
        for size, at in fewer.items()
    ]
    curve.append({"entries": float(n), "value": mean})
    return Contrast(
        name=name,
        a=tuple(values[:pairs].tolist()),
        b=tuple(values[pairs:].tolist()),
        difference=_with_error(mean, variance**0.5, level, pairs - 1),
        over_seeds=_with_error(mean, seed_variance**0.5, level, pairs - 1),
        probe_error=probe_error,
        curve=tuple(curve),
    )


def two_probes(
    gram: Floats,
    second: Sequence[bool],
    name: str,
    *,
    strata: Sequence[str] | None = None,
    permutations: int = 999,
    seed: int = 0,
) -> tuple[float, float]:
    """Whether two probes differ under one model: difference (second less first) and p value.

    Entries change probe at random inside their stratum; under one population every assignment is
    as likely, so the level is exact at any N.

    Args:
        gram: (2N, 2N) of both probes together.
        second: which entries are of the second probe.
        name: of the statistic.
        strata: stratum of each entry.
        permutations: random reassignments.
        seed: of them.

    Raises:
        ImaxrayError: the probes have different sizes (then SE differs by itself).
    """
    label = np.asarray(second, dtype=bool)
    n = len(label)
    if label.sum() * 2 != n:
        raise ImaxrayError(
            f"Expected two probes of one size, but got {n - label.sum()} and {label.sum()} "
            "entries; SE depends on their number."
        )
    names = np.asarray(["all"] * n if strata is None else strata)
    random = np.random.default_rng(seed)
    labels = np.repeat(label[None], permutations + 1, axis=0)
    for stratum in np.unique(names):
        at = np.flatnonzero(names == stratum)
        keys = np.argsort(random.random((permutations, len(at))), axis=1)
        labels[1:, at] = label[at][keys]
    index = np.argsort(~labels, axis=1, kind="stable")  # the second probe's entries come first
    first, other = (
        _values(gram, part, [name])[name] for part in (index[:, : n // 2], index[:, n // 2 :])
    )
    differences = first - other
    extreme = np.abs(differences[1:]) >= abs(differences[0]) * (1 - 1e-12)
    return float(differences[0]), float((1 + extreme.sum()) / (1 + permutations))


def _strata(strata: Sequence[str] | None, n: int) -> Indices:
    """Stratum number of each entry."""
    _, code = np.unique(np.asarray(["all"] * n if strata is None else strata), return_inverse=True)
    if len(code) != n or (np.bincount(code) < 2).any():
        raise ImaxrayError(
            f"Expected a stratum for each of {n} entries and two entries or more in each, but got "
            f"{len(code)} entries in strata of {np.bincount(code).min()} or more; merge strata."
        )
    return np.asarray(code, dtype=np.int64)


def _all_but_one(n: int) -> Indices:
    """The subsets that lack one entry, (N, N − 1)."""
    return np.array([[j for j in range(n) if j != i] for i in range(n)])


def _jackknife_error(values: Floats, code: Indices) -> float:
    """From the value without each entry; ``code`` is the entry's stratum."""
    sizes = np.bincount(code)
    means = np.bincount(code, values) / sizes
    squares = np.bincount(code, (values - means[code]) ** 2)
    return float(np.sqrt(((sizes - 1) / sizes * squares).sum()))


def _values(gram: Floats, index: Indices, names: Sequence[str]) -> dict[str, Floats]:
    """Statistics on each subset of entries, (subsets,) each; 64 MB at a time."""
    step = max(1, 2**23 // index.shape[1] ** 2)
    parts = []
    for start in range(0, len(index), step):
        at = index[start : start + step]
        parts.append(several(gram[at[:, :, None], at[:, None, :]], names))
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def probe_error(
    grams: Sequence[Gram], names: Sequence[str], weights: Mapping[str, Floats]
) -> dict[str, dict[str, float]]:
    """Statistic → combination → its standard error over probes like this one, by the jackknife.

    Args:
        grams: of several models on the same entries.
        names: of the statistics.
        weights: combination → weight of each Gram matrix.
    """
    index = _all_but_one(len(grams[0]))
    without = [_values(gram.matrix, index, names) for gram in grams]
    code = _strata(grams[0].tasks, len(grams[0]))
    return {
        name: {
            term: _jackknife_error(
                np.einsum("r,rn->n", weight, np.stack([of[name] for of in without])), code
            )
            for term, weight in weights.items()
        }
        for name in names
    }


def _with_error(
    value: float, error: float, level: float, degrees: float = float("inf")
) -> Estimate:
    # scipy takes an infinite number of degrees for the normal distribution
    half = float(stats.t.ppf((1 + level) / 2, degrees)) * error
    return Estimate(value, value - half, value + half, error, degrees)
