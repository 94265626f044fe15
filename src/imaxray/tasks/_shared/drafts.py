"""A draft is an entry without an id and a prompt; task modules make drafts from annotations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from imaxray.hashing import digests, mixed
from imaxray.schema import Boxes
from imaxray.tasks._shared.answers import to_json

DRAFTS: Final = pl.Schema(
    {
        "image_id": pl.String,
        "subtask": pl.String,  # picks the family of templates, e.g. ctr
        "subject": pl.UInt64,  # hash of what makes the entry unique within image, task and subtask
        "fill": pl.String,  # text that replaces {} in the template; null if it has no {}
        "target": pl.String,
        "boxes": Boxes,
        "answer": pl.String,  # canonical JSON
        "sources": pl.List(pl.String),
        "quality": pl.String,
    }
)
"""Columns of a table of drafts."""


def json_series(answers: Iterable[Any]) -> pl.Series:
    """Return answers as a column of canonical JSON."""
    return pl.Series("answer", [to_json(answer) for answer in answers], dtype=pl.String)


def json_of(*columns: str) -> pl.Expr:
    """Return a column ``answer`` of canonical JSON objects, which Polars makes without Python.

    Args:
        columns: Names of the columns that become the keys of each object.

    Raises:
        ValueError: The columns are not sorted by name.
    """
    if list(columns) != sorted(columns):
        raise ValueError("canonical JSON needs sorted keys; sort the columns by name")
    return pl.struct(*columns).struct.json_encode().alias("answer")


def one_each(
    frame: pl.DataFrame, keys: Sequence[str], alone: Sequence[pl.Expr], together: Sequence[pl.Expr]
) -> pl.DataFrame:
    """Return one row per group of equal ``keys``, with its provenance.

    Most groups of a catalog have one row. They use the plain expressions ``alone``, because the
    equivalent aggregations ``together`` are much slower.

    Args:
        frame: Annotations, with columns ``source``, ``origin`` and ``quality``.
        keys: Columns that define the groups.
        alone: Expressions for groups of one row.
        together: Aggregations that compute the same columns for groups of several rows.

    Returns:
        Columns ``keys``, those of the expressions, ``sources`` and ``quality``.
    """
    counted = frame.with_columns(pl.len().over(list(keys)).alias("_rows"))
    single = counted.filter(pl.col("_rows") == 1).select(
        *keys,
        *alone,
        pl.concat_list(pl.col("source").cast(pl.String)).alias("sources"),
        _PROVENANCE.alias("quality"),
    )
    several = (
        counted.filter(pl.col("_rows") > 1)
        .group_by(list(keys), maintain_order=True)
        .agg(
            *together,
            pl.col("source").cast(pl.String).unique().sort().alias("sources"),
            _PROVENANCE.unique().sort().str.join("+").alias("quality"),
        )
    )
    return pl.concat([single, several])


def text_subject(texts: pl.Series) -> pl.Series:
    """Return texts as subjects of drafts (hashes, UInt64)."""
    return pl.Series("subject", digests(texts), dtype=pl.UInt64)


def box_subject(boxes: pl.Series) -> pl.Series:
    """Return one-box lists as subjects of drafts (hashes, UInt64), to a hundredth of a pixel."""
    corners = boxes.list.first()
    parts = [
        (corners.list.get(k) * 100).round().cast(pl.Int64).to_numpy().astype(np.uint64)
        for k in range(4)
    ]
    return pl.Series("subject", mixed(*parts), dtype=pl.UInt64)


NO_SUBJECT: Final = pl.lit(0, dtype=pl.UInt64).alias("subject")
"""Subject of the drafts of a task that has one entry per image and subtask."""

_PROVENANCE: Final = pl.concat_str(
    pl.col("origin").cast(pl.String),
    pl.lit("/"),
    pl.col("quality").cast(pl.String).fill_null("-"),
)
