"""Tests how numbers and gains are written, as text and as LaTeX."""

import math

import pytest

from imaxray.evaluation import (
    Comparison,
    gain_sentence,
    interval_text,
    latex_number,
    latex_table,
    latex_text,
    number_text,
    percent_text,
    signed_text,
)
from latex_tables import columns_of

NAN = math.nan


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ({"value": 0.12345, "low": -0.5, "high": 1.0}, "0.123 [-0.500, 1.000]"),
        ({"value": 0.5, "low": NAN, "high": NAN}, "0.500"),
        ({"value": None, "low": None, "high": None}, "–"),
        ({"value": NAN, "low": 0.1, "high": 0.2}, "–"),
        (None, "–"),
    ],
)
def test_an_interval_that_cannot_be_measured_is_left_out(cell, text):
    assert interval_text(cell) == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ({"value": 0.1, "low": 0.05, "high": 0.15}, "+10.0 % [+5.0, +15.0]"),
        ({"value": -0.00001, "low": -0.5, "high": 0.5}, "+0.0 % [-50.0, +50.0]"),  # no "-0.0"
        ({"value": 0.1, "low": None, "high": 0.5}, "–"),
        (None, "–"),
    ],
)
def test_a_gain_in_percent(cell, text):
    assert percent_text(cell) == text


def test_a_row_names_its_interval_by_a_prefix():
    row = {"own": 0.25, "own_low": None, "own_high": None, "low": 0.0, "high": 0.5}
    assert signed_text(row, "own", "own_") == "+0.250"
    assert signed_text(row, "own") == "+0.250 [+0.000, +0.500]"
    assert number_text(NAN) == number_text(None) == "–"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.3, "imax is ahead of dmax: mean relative gain of imax +10.0 % [+1.0, +30.0]."),
        (-0.3, -0.01, "dmax is ahead of imax: mean relative gain of imax +10.0 % [-30.0, -1.0]."),
        (-0.3, 0.3, "neither imax nor dmax is ahead: mean relative gain of imax +10.0 % "
         "[-30.0, +30.0]."),
    ],
)  # fmt: skip
def test_the_interval_decides_which_arm_is_ahead(low, high, said):
    assert gain_sentence({"value": 0.1, "low": low, "high": high}, "imax", "dmax") == said


def test_an_undefined_gain_says_why():
    data = {"reference": "dmax", "arms": ["dmax", "imax"], "mean_gain": {"imax": None}}
    said = Comparison(data).verdict()
    assert said.startswith("The relative gain of imax over dmax is undefined") and "zero" in said


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("imax_2 & 5 % #1", r"imax\_2 \& 5 \% \#1"),
        (r"{a}\b~c^d$", r"\{a\}\textbackslash{}b\textasciitilde{}c\textasciicircum{}d\$"),
        ("<2%-10% ≥ κ ↓", r"\textless{}2\%-10\% $\ge$ $\kappa$ $\downarrow$"),
    ],
)
def test_latex_says_what_the_text_says(text, latex):
    assert latex_text(text) == latex


def test_minus_signs_of_numbers_are_minus_signs():
    assert latex_number("-1.0 % [-2.0, +3.0]") == r"$-$1.0 \% [$-$2.0, +3.0]"
    assert latex_number("–") == "--"


def test_a_table_has_a_cell_for_each_column(tmp_path):
    head = ["task", "x & y", "z"]
    table = latex_table(
        list(map(latex_text, head)), [["rec", "1", latex_number("-2")]],
        [[r"\multicolumn{2}{l}{all}", "3"]],
    )  # fmt: skip
    assert columns_of(table, tmp_path) == [3]
    with pytest.raises(AssertionError):
        columns_of(latex_table(["task", "gain"], [["rec"]]), tmp_path)
    with pytest.raises(AssertionError):
        columns_of(latex_table(["task", "gain"], [["rec", "5 %"]]), tmp_path)
