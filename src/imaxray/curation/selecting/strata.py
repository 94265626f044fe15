"""Computes answer strata: bins in which two arms must have the same number of entries."""

from __future__ import annotations

import polars as pl

from imaxray.tasks import get_task


def with_strata(entries: pl.DataFrame) -> pl.DataFrame:
    """Add ``stratum``: task, subtask and answer bin, e.g. ``calculation.ctr.0.45``.

    Each task defines its own bins (see :meth:`imaxray.tasks.Task.stratum`). The stratum does not
    depend on which facts of an image become entries.
    """
    if entries.is_empty():
        return entries.with_columns(pl.lit(None, dtype=pl.String).alias("stratum"))
    numbered = entries.with_row_index("_row")
    parts = []
    for (task,), rows in numbered.group_by("task"):
        head = pl.col("template").str.extract(r"^([^.]*\.[^.]*)\.")
        label = pl.concat_str(head, pl.lit("."), get_task(str(task)).stratum())
        parts.append(rows.select("_row", label.alias("stratum")))
    strata = pl.concat(parts)
    return numbered.join(strata, on="_row", how="left", maintain_order="left").drop("_row")
