"""Gram matrices as tables: one row a module group and reduction, one row a pair of tasks."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl

from imaxray.dynamics.gram import REDUCTIONS, Gram
from imaxray.dynamics.statistics import STATISTICS
from imaxray.dynamics.tasks import task_geometry

SPECTRA: Final = pl.Schema(
    {
        "step": pl.Int64,
        "entries_seen": pl.Int64,
        "group": pl.String,  # "all", or a module group
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
        "same_image": pl.Boolean,  # whether pairs of entries of one image count
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
    """All statistics of all module groups under every reduction, schema SPECTRA.

    Where gradients are not finite, or a group has none, its statistics are NaN.
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
    """Pairs of tasks with and without pairs of entries of one image, schema PAIRS.

    Empty where entries have no tasks, or all the same.
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
