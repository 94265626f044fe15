"""Makes columns of tables: provenance, rejects, numbers and boxes."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray.schema import REJECTS, Boxes, conform

_FAR = 1e15


def provenance(source: str, file: str) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Return the columns ``source``, ``file`` and ``row``, which say where a row comes from.

    ``row`` is the column of this name that the frame already has.
    """
    return pl.lit(source).alias("source"), pl.lit(file).alias("file"), pl.col("row")


def stated_by(origin: str, quality: str) -> tuple[pl.Expr, pl.Expr]:
    """Return the columns ``origin`` and ``quality``, which say who stated the facts of all rows."""
    return pl.lit(origin).alias("origin"), pl.lit(quality).alias("quality")


def reject(
    rows: pl.DataFrame, *, source: str, file: str, key: str | pl.Expr, code: str, message: str
) -> pl.DataFrame:
    """Turn ``rows`` (with a ``row`` column) into rejects that carry ``code`` and ``message``.

    ``key`` is the name or the expression of the column whose id identifies the row.
    """
    key_expr = pl.col(key) if isinstance(key, str) else key
    return conform(
        rows.select(
            *provenance(source, file),
            key_expr.cast(pl.String).alias("key"),
            pl.lit(code).alias("code"),
            pl.lit(message).alias("message"),
        ),
        REJECTS,
    )


def numeric(column: str) -> pl.Expr:
    """Convert a text column to float; a cell that is no number or implausibly large is null."""
    value = pl.col(column).cast(pl.Float64, strict=False)
    return pl.when(value.abs() < _FAR).then(value)  # NaN and infinity fail the comparison too


def one_box(x1: str | pl.Expr, y1: str | pl.Expr, x2: str | pl.Expr, y2: str | pl.Expr) -> pl.Expr:
    """Combine four columns of corners (floats) into lists with one box each."""
    return pl.concat_arr(x1, y1, x2, y2).reshape((-1, 1, 4)).cast(Boxes)


def box_lists(corners: NDArray[np.float64], counts: NDArray[np.int64]) -> pl.Series:
    """Combine flat corners (four per box) into lists with ``counts`` boxes each."""
    import pyarrow as pa  # late, because the viewer starts without it

    inner = pa.LargeListArray.from_arrays(
        np.arange(0, len(corners) + 1, 4, dtype=np.int64), pa.array(corners, pa.float64())
    )
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return pl.Series("boxes", pa.LargeListArray.from_arrays(ends, inner), dtype=Boxes)


def has_area(x: str, y: str, width: str, height: str) -> pl.Expr:
    """Return whether left, top, width and height (floats) give a box with an area.

    The corners are compared, because a tiny width vanishes when it is added to a large left edge.
    A null gives False.
    """
    across = pl.col(x) + pl.col(width) > pl.col(x)
    down = pl.col(y) + pl.col(height) > pl.col(y)
    return (across & down).fill_null(False)


def xyxy_from_xywh(x: str, y: str, width: str, height: str) -> pl.Expr:
    """Convert columns left, top, width, height (floats) to lists with one box of corners each."""
    left, top = pl.col(x), pl.col(y)
    return one_box(left, top, left + pl.col(width), top + pl.col(height))
