"""Tests the ceiling of filters, which keeps exactly the correct answers."""

import numpy as np
import polars as pl

from imaxray.pseudo import filter_candidates, right_candidates


def test_all_that_is_right_and_nothing_else(dmax, lacking, fabricate, catalog):
    right = np.random.default_rng(3).random(lacking.height) < 0.6
    made = fabricate(lacking, right, seed=1)
    found = right_candidates(made, catalog.entries)
    every = filter_candidates(found, dmax, truth=catalog.entries)
    row = every.yields.filter(pl.col("task") == "all", pl.col("filter") == "none")
    assert row["precision"].item() == 1 and row["kept"].item() == found.height
    assert found.height == right.sum()


def test_what_cannot_be_read_or_is_not_known_is_left_out(dmax, lacking, fabricate, catalog):
    made = fabricate(lacking, 1.0, seed=1)
    nothing = pl.when(pl.int_range(pl.len()) == 0).then(None)
    unread = made.with_columns(nothing.otherwise(pl.col("answer")).alias("answer"))
    assert right_candidates(unread, catalog.entries).height == made.height - 1
    assert right_candidates(made, catalog.entries.clear()).is_empty()
