"""Turns Gram matrices into tables: spectra per module group, geometry per pair of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from imaxray.dynamics.numbers.gram import REDUCTIONS, Gram
from imaxray.dynamics.numbers.intervals import over_seeds
from imaxray.dynamics.numbers.spectrum import STATISTICS
from imaxray.dynamics.numbers.task_geometry import task_geometry

SPECTRA: Final = pl.Schema(
    {
        "step": pl.Int64,
        "entries_seen": pl.Int64,
        "group": pl.String,  # "all" or the name of a module group
        "reduction": pl.String,
        "entries": pl.Int64,  # N
        **dict.fromkeys(STATISTICS, pl.Float64),
    }
)
"""Columns of ``spectra.parquet``."""

PAIRS: Final = pl.Schema(
    {
        "step": pl.Int64,
        "entries_seen": pl.Int64,
        "reduction": pl.String,
        "same_image": pl.Boolean,  # whether pairs of entries of the same image are included
        "task": pl.String,
        "other": pl.String,
        "cosine": pl.Float64,  # debiased
        "raw_cosine": pl.Float64,
        "magnitude_similarity": pl.Float64,
        "pair_conflict": pl.Float64,
    }
)
"""Columns of ``tasks.parquet``."""


def spectra_table(gram: Gram, *, step: int = 0, entries_seen: int = 0) -> pl.DataFrame:
    """Compute all statistics of all module groups under every reduction (schema SPECTRA).

    The statistics of a group are NaN if its gradients are not finite. If they are all zero, every
    statistic except the trace is NaN.
    """
    rows: list[dict[str, Any]] = []
    for reduction in REDUCTIONS:
        if reduction == "token-mean" and gram.tokens is None:
            continue
        if gram.reduction not in ("sum", reduction):
            continue
        reduced = gram.reduced(reduction)
        for group, matrix in [("all", reduced.matrix), *sorted(reduced.groups.items())]:
            finite = bool(np.isfinite(matrix).all())
            rows.append(
                {
                    "step": step,
                    "entries_seen": entries_seen,
                    "group": group,
                    "reduction": reduction,
                    "entries": len(gram),
                    **{
                        name: float(function(matrix)) if finite else float("nan")
                        for name, function in STATISTICS.items()
                    },
                }
            )
    return pl.DataFrame(rows, schema=SPECTRA)


def tasks_table(gram: Gram, *, step: int = 0, entries_seen: int = 0) -> pl.DataFrame:
    """Compare pairs of tasks, with and without pairs of entries of the same image (schema PAIRS).

    The table is empty if the tasks are unknown or all entries have the same task.
    """
    rows: list[dict[str, Any]] = []
    if gram.tasks is not None and len(set(gram.tasks)) > 1:
        for reduction in REDUCTIONS:
            if reduction == "token-mean" and gram.tokens is None:
                continue
            if gram.reduction not in ("sum", reduction):
                continue
            matrix = gram.reduced(reduction).matrix
            for same in (True, False):
                if not same and gram.images is None:
                    continue
                found = task_geometry(matrix, gram.tasks, images=None if same else gram.images)
                about = {"step": step, "entries_seen": entries_seen, "reduction": reduction}
                rows += [{**about, "same_image": same, **pair} for pair in found.pairs()]
    return pl.DataFrame(rows, schema=PAIRS)


def tasks_over_runs(
    pairs: pl.DataFrame, arm: str, other: str | None = None, *, level: float = 0.95
) -> pl.DataFrame:
    """Average over pairs of tasks, for one arm, or for two arms with their difference over seeds.

    Args:
        pairs: Table with schema PAIRS at one count of entries seen, with columns ``arm`` and
            ``seed``.
        arm: Name of the first arm.
        other: Name of the second arm. If None, the first arm is described alone.
        level: Confidence level of the t intervals over seeds.

    Returns:
        One row per reduction and ``same_image`` (with or without pairs of entries of one image).
        For each NAME of cosine, conflict_rate (share of task pairs whose debiased cosine is
        negative) and pair_conflict the row has ``NAME_ARM``. With two arms it also has
        ``NAME_difference`` (first minus second, paired by seed) with ``NAME_low`` and
        ``NAME_high``, which are NaN for one seed. ``task_pairs`` is the smallest number of task
        pairs with a cosine in a run. A value is null if no pair has a cosine, which chance can
        cause.
    """
    keys = ["reduction", "same_image"]
    known = pl.col("cosine").is_finite()
    means = pairs.group_by("arm", "seed", *keys).agg(
        pl.col("cosine").filter(known).mean(),
        (pl.col("cosine").filter(known) < 0).mean().alias("conflict_rate"),
        pl.col("pair_conflict").mean(),
        known.sum().alias("pairs"),
    )
    arms = [arm] if other is None else [arm, other]
    rows: list[dict[str, Any]] = []
    for (reduction, same), part in sorted(means.group_by(keys), key=lambda item: str(item[0])):
        row: dict[str, Any] = {"reduction": reduction, "same_image": same}
        for name in ("cosine", "conflict_rate", "pair_conflict"):
            values = [part.filter(arm=a).sort("seed")[name].to_list() for a in arms]
            row |= {f"{name}_{a}": _mean(of) for a, of in zip(arms, values, strict=True)}
            if other is None:
                continue
            both = zip(*values, strict=True)
            found = over_seeds([a - b for a, b in both if a is not None and b is not None], level)
            row |= {
                f"{name}_difference": found.value,
                f"{name}_low": found.low,
                f"{name}_high": found.high,
            }
        row["task_pairs"] = int(part["pairs"].min())  # type: ignore[arg-type]
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
