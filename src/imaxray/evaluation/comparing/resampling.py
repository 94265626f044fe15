"""Computes intervals and tests of a comparison by resampling patients and training seeds.

The intervals are percentile intervals of the bootstrap over patients (Efron 1979). Seeds are a
second level of the bootstrap; their deviations are scaled by sqrt(S / (S - 1)), so that S seeds
vary as much as S independent draws should (Rao and Wu 1988). With fewer than about five seeds, the
intervals are too narrow, because two or three training runs cannot show how much runs differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from imaxray.metrics import Floats, Metric

_CHUNK = 4_000_000  # maximum number of values (permutations × patients) in memory at once


def patient_draws(patients: int, resamples: int, seed: int) -> Floats:
    """Count how often each resample draws each patient, (1 + resamples, patients), float64.

    Row 0 is the data itself, in which every patient counts once.

    Example:
        >>> draws = patient_draws(patients=3, resamples=1000, seed=0)
        >>> draws.shape, draws[0].tolist(), int(draws[1].sum())
        ((1001, 3), [1.0, 1.0, 1.0], 3)
    """
    random = np.random.default_rng(seed)
    counts = random.multinomial(patients, np.full(patients, 1 / patients), size=resamples)
    return np.vstack([np.ones(patients), counts]).astype(np.float64)


def over_seeds(values: Floats, random: np.random.Generator) -> Floats:
    """Return the mean over seeds, where every resample draws the seeds with replacement.

    Args:
        values: Value of each seed on each resample, shape ``(seeds, 1 + resamples)``; column 0
            holds the values on the data.
        random: Generator that draws the seeds.

    Returns:
        Means of shape ``(1 + resamples,)``; the first is the plain mean over the seeds on the data.
    """
    seeds, columns = values.shape
    mean = values.mean(axis=0)
    if seeds == 1:
        return np.asarray(mean)
    counts = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=columns).T / seeds
    drawn = (counts * values).sum(axis=0)
    result = mean + np.sqrt(seeds / (seeds - 1)) * (drawn - mean)
    result[0] = mean[0]
    return np.asarray(result)


class Interval(TypedDict):
    """Holds a value on the data and its percentile interval; ``None`` means not measurable."""

    value: float | None
    low: float | None
    high: float | None


def interval(values: Floats, level: float) -> Interval:
    """Return the value on the data (``values[0]``) and the percentile interval of the resamples.

    Resamples without a value are left out; their value is ``nan``, for example because none of the
    task's patients was drawn.

    Example:
        >>> interval(np.array([0.5, 0.25, 0.5, 0.75]), level=0.5)
        {'value': 0.5, 'low': 0.375, 'high': 0.625}
    """
    resampled = values[1:][np.isfinite(values[1:])]
    if not resampled.size or not np.isfinite(values[0]):
        nan = float("nan")
        return {"value": float(values[0]), "low": nan, "high": nan}
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return {"value": float(values[0]), "low": float(low), "high": float(high)}


def permutation_p(
    metric: Metric, one: Floats, other: Floats, *, permutations: int, random: np.random.Generator
) -> float:
    """Return the two-sided p-value of a paired permutation test over patients.

    Under the null hypothesis the two arms are exchangeable within each patient. Therefore every
    permutation swaps each patient's two sums with probability one half. The p-value is
    ``(1 + e) / (1 + permutations)``, where ``e`` counts the permutations whose difference is at
    least as extreme as the observed one (Phipson and Smyth 2010), so it is never 0. Training seeds
    are pooled: the test is about these trained models, not about future training runs.

    Args:
        metric: Additive metric that is compared.
        one: Statistics of the first arm, summed per patient, shape ``(patients, k)``.
        other: Statistics of the second arm, summed per patient, shape ``(patients, k)``.
        permutations: Number of permutations.
        random: Generator that draws the permutations.
    """
    total, turned = one.sum(axis=0), other - one

    def difference(swapped: Floats) -> Floats:
        moved = swapped @ turned
        return metric.value(total + moved) - metric.value(total + turned.sum(axis=0) - moved)

    observed = abs(float(difference(np.zeros((1, len(one))))[0]))
    if not np.isfinite(observed):
        return float("nan")
    extreme, done = 0, 0
    rows = max(1, _CHUNK // max(1, len(one)))
    while done < permutations:
        size = min(rows, permutations - done)
        values = difference(random.integers(0, 2, (size, len(one))).astype(np.float64))
        extreme += int((np.abs(values) >= observed - 1e-12).sum())
        done += size
    return (1 + extreme) / (1 + permutations)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted by Holm's step-down method (1979).

    A p-value that is ``nan`` stays ``nan`` and does not count as a test.

    Example:
        >>> holm({"report": 0.01, "vqa": 0.04, "rec": 0.5})
        {'report': 0.03, 'vqa': 0.08, 'rec': 0.5}
    """
    tested = sorted((p, name) for name, p in p_values.items() if np.isfinite(p))
    adjusted = {name: float("nan") for name in p_values}
    running = 0.0
    for rank, (p, name) in enumerate(tested):
        running = max(running, min(1.0, (len(tested) - rank) * p))
        adjusted[name] = running
    return adjusted


def patient_sums(statistics: Sequence[Floats], group: NDArray[np.intp], patients: int) -> Floats:
    """Sum statistics per patient and average the sums over seeds.

    Args:
        statistics: Statistics of the entries for each seed, shape ``(n, k)``.
        group: Index of each entry's patient, (n,).
        patients: Number of patients.

    Returns:
        Array of shape ``(patients, k)``.
    """
    sums = np.zeros((patients, statistics[0].shape[1]))
    for matrix in statistics:
        np.add.at(sums, group, matrix)
    return sums / len(statistics)


def finite(value: Any) -> Any:
    """Return ``value`` with ``None`` in place of ``nan`` and infinity, which JSON cannot write.

    Example:
        >>> finite({"value": float("nan"), "n": 3})
        {'value': None, 'n': 3}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value
