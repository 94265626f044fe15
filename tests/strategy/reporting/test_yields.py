"""Tests the yields in the reports of strategies and ablations."""

import polars as pl

from imaxray.report import Missing
from imaxray.strategy.reporting import filter_parts


def test_filters_without_a_readable_answer_are_one_line():
    empty = pl.DataFrame()
    (part,) = filter_parts(empty, empty, empty)
    assert isinstance(part, Missing) and "no answer of the model is readable" in part.why
