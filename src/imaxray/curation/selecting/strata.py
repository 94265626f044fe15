"""Computes answer strata: bins in which two arms must have the same number of entries."""

from __future__ import annotations

import polars as pl

from imaxray.tasks import get_task


def with_strata(entries: pl.DataFrame) -> pl.DataFrame:
    """Add ``stratum``: task, subtask and answer bin, e.g. ``calculation.ctr.0.45``.

    Each task defines its own bins (see :meth:`imaxray.tasks.Task.stratum`). The stratum does not
    depend on which facts of an image become entries.
    """
    head = pl.col("template").str.extract(r"^([^.]*\.[^.]*)\.")
    # lazily, because only the columns that a stratum depends on are copied then
    numbered = entries.lazy().with_row_index("_row")
    parts = []
    for task in entries["task"].unique().sort():
        label = pl.concat_str(head, pl.lit("."), get_task(task).stratum())
        rows = numbered.filter(pl.col("task") == task)
        parts.append(rows.select("_row", label.alias("stratum")).collect())
    empty = pl.DataFrame(schema={"_row": pl.UInt32, "stratum": pl.String})
    return entries.with_columns(pl.concat(parts or [empty]).sort("_row")["stratum"])
