"""Splits a naive comparison of two arms into effects of sampling, entries and training.

A naive comparison measures each arm's model on batches of its own data, drawn by whole images as
in training. Its difference has three sources, which add up to it exactly:

- sampling: the same model and data, drawn by whole images instead of apart; that of the first arm
  less that of the second;
- entry: the same model and the same way to draw (apart), the entries of two datasets; mean over
  both models;
- training: two models on the same entries; mean over both datasets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from scipy import stats

from imaxray.dynamics.grouping.draws import DRAWN, Drawn, together, variance
from imaxray.dynamics.numbers.gram import Gram, Reduction
from imaxray.dynamics.numbers.intervals import Estimate, over_seeds
from imaxray.errors import ImaxrayError

Cell = tuple[int, int, str]
"""Model (0 or 1), dataset (0 or 1), and way to draw (``whole`` or ``apart``)."""

EFFECTS: Final[Mapping[str, Mapping[Cell, float]]] = {
    "naive": {(0, 0, "whole"): 1, (1, 1, "whole"): -1},
    "sampling": {
        (0, 0, "whole"): 1, (0, 0, "apart"): -1, (1, 1, "whole"): -1, (1, 1, "apart"): 1,
    },
    "entry": {
        (0, 0, "apart"): 0.5, (1, 0, "apart"): 0.5, (0, 1, "apart"): -0.5, (1, 1, "apart"): -0.5,
    },
    "training": {
        (0, 0, "apart"): 0.5, (0, 1, "apart"): 0.5, (1, 0, "apart"): -0.5, (1, 1, "apart"): -0.5,
    },
}  # fmt: skip
"""Effect → weight of the mean statistic of each cell. Sampling, entry and training add up to
naive."""


def effects_over_seeds(
    seeds: Sequence[Mapping[tuple[int, int], Mapping[str, Drawn]]], *, level: float = 0.95
) -> dict[str, dict[str, Estimate]]:
    """Return each effect on each statistic, averaged over seeds.

    Args:
        seeds: For each seed of both arms: (model, dataset) → draws by their way, as
            :func:`~imaxray.dynamics.grouping.together` returns them. All models must be measured on
            the same draws of a dataset, which the same pool and seed of the draws give.
        level: Confidence level of the intervals. They cover other seeds (t distribution), other
            images and other draws, whose half-widths are added in squares. With one seed they are
            NaN.

    Returns:
        Statistic → effect → estimate.
    """
    return {
        name: {
            effect: _effect(seeds, number, weights, level) for effect, weights in EFFECTS.items()
        }
        for number, name in enumerate(DRAWN)
    }


def effects_table(
    seeds: Sequence[Mapping[tuple[int, int], Gram]],
    sizes: Sequence[int],
    *,
    reductions: Sequence[Reduction] = ("sum", "unit-norm"),
    group: str = "all",
    draws: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return the effects for several numbers of entries as a table.

    Args:
        seeds: For each seed: (model, dataset) → Gram matrix of summed losses of the dataset's pool;
            model 0 is that of the first arm, and dataset 0 the data of the first arm.
        sizes: Numbers of entries N of a draw; those above the number of images of a pool are left
            out, because entries of so many images cannot be drawn.
        reductions: Reductions of each entry's loss.
        group: Module group, or ``all``.
        draws: Number of draws.
        seed: Random seed of the draws.
        level: Confidence level.

    Returns:
        One row per N, reduction and statistic: ``entries``, ``reduction``, ``statistic``, and for
        each effect its value with ``EFFECT_low`` and ``EFFECT_high``.

    Raises:
        ImaxrayError: If no size can be drawn apart from both pools.
    """
    most = min(len(set(gram.images or ())) for gram in seeds[0].values())
    fitting = [size for size in sizes if size <= most]
    if not fitting:
        raise ImaxrayError(
            f"Expected pools with at least {min(sizes)} images, but one has {most}; take a larger "
            "--pool."
        )
    rows: list[dict[str, Any]] = []
    for entries in fitting:
        for reduction in reductions:
            drawn = [
                {cell: _drawn(gram.reduced(reduction), group, entries, draws, seed)
                 for cell, gram in of.items()}
                for of in seeds
            ]  # fmt: skip
            for name, effects in effects_over_seeds(drawn, level=level).items():
                row: dict[str, Any] = {"entries": entries, "reduction": reduction}
                row["statistic"] = name
                for effect, one in effects.items():
                    row |= {effect: one.value, f"{effect}_low": one.low, f"{effect}_high": one.high}
                rows.append(row)
    return pl.DataFrame(rows)


def _drawn(gram: Gram, group: str, entries: int, draws: int, seed: int) -> dict[str, Drawn]:
    matrix = gram.matrix if group == "all" else gram.groups[group]
    assert gram.images is not None and gram.tasks is not None
    return together(matrix, gram.images, gram.tasks, entries, draws=draws, seed=seed)


def _effect(
    seeds: Sequence[Mapping[tuple[int, int], Mapping[str, Drawn]]],
    number: int,
    weights: Mapping[Cell, float],
    level: float,
) -> Estimate:
    values = []
    for of in seeds:
        means = {
            cell: weight * float(of[cell[:2]][cell[2]].values[number].mean())
            for cell, weight in weights.items()
        }
        # models on the same draws are added first, so that equal models cancel without rounding
        values.append(
            sum(
                sum(mean for (_, d, w), mean in means.items() if (d, w) == (data, way))
                for data in (0, 1)
                for way in ("whole", "apart")
            )
        )
    spread = over_seeds(values, level)
    error = np.sqrt(sum(variance(part) for part in _parts(seeds, number, weights)))
    half = float(np.hypot(spread.high - spread.value, stats.norm.ppf((1 + level) / 2) * error))
    whole = float(np.hypot(spread.error, error))
    return Estimate(spread.value, spread.value - half, spread.value + half, whole, spread.degrees)


def _parts(
    seeds: Sequence[Mapping[tuple[int, int], Mapping[str, Drawn]]],
    number: int,
    weights: Mapping[Cell, float],
) -> list[list[tuple[Any, Any]]]:
    """Return for each dataset the weighted values of its draws: models and seeds share them."""
    parts = []
    for data in (0, 1):
        ways = []
        for way in ("whole", "apart"):
            of = {m: w for (m, d, kind), w in weights.items() if (d, kind) == (data, way)}
            if not of:
                continue
            total = sum(
                weight * seed[model, data][way].values[number] / len(seeds)
                for seed in seeds
                for model, weight in of.items()
            )
            ways.append((total, seeds[0][0, data][way].counts))
        parts.append(ways)
    return parts
