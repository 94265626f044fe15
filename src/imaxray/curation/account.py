"""Rows in = kept + rejected, proven for every release file."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from imaxray.curation.tables import ACCOUNT
from imaxray.schema import conform
from imaxray.sources import ReleaseFile

_KEY = ["source", "file", "row"]


def close_account(
    files: Sequence[ReleaseFile],
    images: pl.DataFrame,
    annotations: pl.DataFrame,
    hints: pl.DataFrame,
    rejects: pl.DataFrame,
) -> pl.DataFrame:
    """Count, per release file, the rows that came in, that stayed and that did not.

    A row stays if anything of it is in the catalog: an image, an annotation, a split hint that was
    used. A row of which nothing stayed must have a reject.

    Raises:
        RuntimeError: a row is neither kept nor rejected, or there are rows that no file has. That
            is a bug in a source, not a mistake of the user.
    """
    kept = pl.concat([frame.select(_KEY) for frame in (images, annotations, hints)]).unique()
    rejected = rejects.select(_KEY).unique().join(kept, on=_KEY, how="anti")

    def count(rows: pl.DataFrame, name: str) -> pl.DataFrame:
        return rows.group_by("source", "file").agg(pl.len().cast(pl.Int64).alias(name))

    read = pl.DataFrame(
        [(f.source, f.file, f.rows) for f in files],
        schema={"source": pl.String, "file": pl.String, "rows_in": pl.Int64},
        orient="row",
    )
    account = (
        read.join(count(kept, "kept"), on=["source", "file"], how="full", coalesce=True)
        .join(count(rejected, "rejected"), on=["source", "file"], how="full", coalesce=True)
        .with_columns(pl.col("rows_in", "kept", "rejected").fill_null(0))
        .sort("source", "file")
    )
    open_rows = account.filter(pl.col("rows_in") != pl.col("kept") + pl.col("rejected"))
    if not open_rows.is_empty():
        source, file, rows_in, n_kept, n_rejected = open_rows.row(0)
        raise RuntimeError(
            f"{source} {file}: {rows_in} rows in, but {n_kept} kept and {n_rejected} rejected"
        )
    return conform(account, ACCOUNT)
