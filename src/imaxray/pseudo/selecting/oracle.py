"""Selects the candidates that a filter without errors would keep, as an upper bound for filters."""

from __future__ import annotations

import polars as pl

from imaxray.pseudo.selecting.correct import DEFAULT, Tolerances
from imaxray.pseudo.selecting.yields import Marks


def right_candidates(
    candidates: pl.DataFrame, truth: pl.DataFrame, tolerances: Tolerances = DEFAULT
) -> pl.DataFrame:
    """Return the candidates that are readable, finished and right.

    This is for studies only, because a user who has the truth needs no pseudo annotations.
    Candidates whose truth is not known are left out too, so that the result contains no wrong one.

    Args:
        candidates: Candidates (schema PSEUDO).
        truth: True entries (schema ENTRIES), e.g. the train split of a catalog.
        tolerances: Tolerances within which a candidate is right.
    """
    read = candidates.filter(
        pl.col("answer").is_not_null() & pl.col("target").is_not_null() & pl.col("ended")
    )
    right = [i for i, is_right in Marks.of(read, truth, tolerances).right.items() if is_right]
    return read.filter(pl.col("pseudo_id").is_in(right))
