"""Tests views, ages and sexes in the spellings that releases use."""

import polars as pl
import pytest

from imaxray.sources._checks import persons


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("58", 58), ("058Y", 58), ("58y", 58), ("61.0", 61), ("013M", 1), ("011M", 0), ("6W", 0),
        ("104W", 1), ("400D", 1), (" 45 ", 45), ("0", 0), ("120", 120),
    ],
)  # fmt: skip
def test_ages_become_years(text, years):
    frame = pl.DataFrame({"age": [text]})
    assert frame.select(persons.age("age")).item() == years
    assert not frame.select(persons.is_odd_age("age")).item()


@pytest.mark.parametrize("text", ["411Y", "-5", "old", "5Z", "NaN5", "٣", "1e9"])
def test_an_age_that_is_not_understood_is_odd(text):
    frame = pl.DataFrame({"age": [text]})
    assert frame.select(persons.age("age")).item() is None
    assert frame.select(persons.is_odd_age("age")).item()


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("pa", "PA"), ("Ap", "AP"), ("AP_horizontal", "AP"), ("antero-posterior", None),
        ("left lateral", "LL"), ("lateral", "LATERAL"), ("Frontal", "FRONTAL"), ("UNK", None),
        ("", None), (None, None),
    ],
)  # fmt: skip
def test_views_are_read_in_any_case(text, view):
    frame = pl.DataFrame({"view": [text]}, schema={"view": pl.String})
    assert frame.select(persons.view("view")).item() == view
    odd = text == "antero-posterior"  # a spelling of MIMIC-CXR's codes, which its reader maps
    assert frame.select(persons.is_odd_view("view")).item() is odd


def test_a_sex_that_is_not_understood_is_odd_but_other_is_not():
    frame = pl.DataFrame({"sex": ["Male", "f", "O", "?", None]})
    assert frame.select(persons.sex("sex")).to_series().to_list() == ["M", "F", None, None, None]
    assert frame.select(persons.is_odd_sex("sex")).to_series().to_list() == [
        False, False, False, True, False,
    ]  # fmt: skip
