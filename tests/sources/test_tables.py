"""Paths, boxes and numbers of source tables."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from imaxray.sources import is_inside, leaves_release


@given(st.lists(st.text(alphabet="./\\:ab\n ", max_size=12), min_size=1, max_size=20))
def test_a_column_of_paths_is_judged_as_each_path_is(paths):
    outside = pl.DataFrame({"path": paths}).select(leaves_release("path")).to_series()
    assert outside.to_list() == [not is_inside(path) for path in paths]


def test_paths_that_leave_a_release():
    for path in ("../x.png", "/etc/passwd", "a/../../x", "C:\\x", "a\\..\\b"):
        assert not is_inside(path)
    assert is_inside("files/p10/a..b.jpg")
