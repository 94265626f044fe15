"""What a filter without error would keep: the ceiling that real filters are held against."""

from __future__ import annotations

import polars as pl

from imaxray.pseudo.selecting.correct import DEFAULT, Tolerances
from imaxray.pseudo.selecting.yields import Marks


def right_candidates(
    candidates: pl.DataFrame, truth: pl.DataFrame, tolerances: Tolerances = DEFAULT
) -> pl.DataFrame:
    """Of the candidates, those that can be read and are right.

    For studies only: who has the truth needs no pseudo annotation. What the truth does not tell is
    left out too, so that nothing wrong is among them.

    Args:
        candidates: schema PSEUDO.
        truth: schema ENTRIES, e.g. a catalog's train split.
        tolerances: when a candidate is right.
    """
    read = candidates.filter(
        pl.col("answer").is_not_null() & pl.col("target").is_not_null() & pl.col("ended")
    )
    right = [i for i, is_right in Marks.of(read, truth, tolerances).right.items() if is_right]
    return read.filter(pl.col("pseudo_id").is_in(right))
