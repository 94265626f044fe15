"""Writes numbers, intervals and gains as text, in the one form that all tables and sentences use.

A value that could not be measured is written as a dash.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from imaxray.evaluation.comparing.resampling import Interval

DASH: Final = "–"
"""Text of a value that could not be measured."""

_ARROWS: Final = {True: "↑", False: "↓"}


def number_text(value: float | None, form: str = ".3f") -> str:
    """Return a number as text.

    Args:
        value: Number, or ``None`` or ``nan`` if it could not be measured.
        form: Format of the number.

    Example:
        >>> number_text(0.25), number_text(None), number_text(0.25, ".0%")
        ('0.250', '–', '25%')
    """
    return DASH if value is None or math.isnan(value) else f"{value:{form}}"


def interval_text(cell: Mapping[str, Any] | None, form: str = ".3f") -> str:
    """Return a value with its interval as text; only the value if there is no interval.

    Args:
        cell: Value and ends of the interval, with keys value, low and high.
        form: Format of each of the three numbers.

    Example:
        >>> interval_text({"value": 0.5, "low": 0.4, "high": 0.625})
        '0.500 [0.400, 0.625]'
        >>> interval_text({"value": 0.5, "low": None, "high": None}), interval_text(None)
        ('0.500', '–')
    """
    if cell is None or not _measured(cell["value"]):
        return DASH
    value = number_text(cell["value"], form)
    if not (_measured(cell["low"]) and _measured(cell["high"])):
        return value
    return f"{value} [{number_text(cell['low'], form)}, {number_text(cell['high'], form)}]"


def signed_text(row: Mapping[str, Any], value: str, prefix: str = "", form: str = "+z.3f") -> str:
    """Return a signed value of a table's row with its interval, as text.

    Args:
        row: Row of a table, column → value.
        value: Column of the value.
        prefix: Text before ``low`` and ``high`` in the names of the columns of the interval.
        form: Format of each of the three numbers.

    Example:
        >>> signed_text({"rise": 0.5, "rise_low": 0.25, "rise_high": 0.75}, "rise", "rise_")
        '+0.500 [+0.250, +0.750]'
    """
    ends = {end: row[f"{prefix}{end}"] for end in ("low", "high")}
    return interval_text({"value": row[value], **ends}, form)


def percents(cell: Interval | None) -> tuple[float, float, float] | None:
    """Return low, value and high of an interval of fractions in percent, or ``None``.

    The result is ``None`` if the interval or one of its three numbers is ``None``.

    Example:
        >>> percents({"value": 0.25, "low": 0.125, "high": 0.5})
        (12.5, 25.0, 50.0)
    """
    if cell is None:
        return None
    low, value, high = cell["low"], cell["value"], cell["high"]
    if low is None or value is None or high is None:
        return None
    return 100 * low, 100 * value, 100 * high


def percent_text(cell: Interval | None) -> str:
    """Return a gain with its interval in percent as text, or a dash if there is no gain.

    Example:
        >>> percent_text({"value": 0.25, "low": -0.125, "high": 0.5})
        '+25.0 % [-12.5, +50.0]'
    """
    found = percents(cell)
    if found is None:
        return DASH
    low, value, high = found
    return f"{value:+z.1f} % [{low:+z.1f}, {high:+z.1f}]"


def points_text(value: float) -> str:
    """Return a signed fraction in percent as text, without its unit.

    Example:
        >>> points_text(0.123), points_text(-0.0001)
        ('+12.3', '+0.0')
    """
    return f"{100 * value:+z.1f}"


def ahead(cell: Interval | None, arm: str, reference: str) -> str:
    """Say which of two arms is ahead, by the interval of a gain.

    Example:
        >>> ahead({"value": 0.2, "low": 0.1, "high": 0.3}, "imax", "dmax")
        'imax is ahead of dmax'
        >>> ahead({"value": 0.2, "low": -0.1, "high": 0.3}, "imax", "dmax")
        'neither imax nor dmax is ahead'
    """
    found = percents(cell)
    if found is not None and found[0] > 0:
        return f"{arm} is ahead of {reference}"
    if found is not None and found[2] < 0:
        return f"{reference} is ahead of {arm}"
    return f"neither {arm} nor {reference} is ahead"


def gain_sentence(cell: Interval | None, arm: str, reference: str) -> str:
    """Say in one sentence how an arm compares with the reference, whichever is better.

    Args:
        cell: Mean relative gain of the arm, a fraction; ``None`` if it is undefined.
        arm: Name of the arm.
        reference: Name of the arm that the gain is relative to.

    Example:
        >>> gain_sentence({"value": 0.2, "low": 0.1, "high": 0.3}, "imax", "dmax")
        'imax is ahead of dmax: mean relative gain of imax +20.0 % [+10.0, +30.0].'
    """
    if percents(cell) is None:
        return (
            f"the relative gain of {arm} over {reference} is undefined, because the scores of the "
            "reference are near zero on all tasks."
        )
    told = percent_text(cell)
    return f"{ahead(cell, arm, reference)}: mean relative gain of {arm} {told}."


def named(name: str) -> str:
    """Return the name of an arm as sentences write it.

    Example:
        >>> named("imax"), named("imax (equal compute)"), named("zero-shot")
        ('IMAX', 'IMAX (equal compute)', 'zero-shot')
    """
    first, gap, rest = name.partition(" ")
    return f"{first.upper()}{gap}{rest}" if first in ("imax", "dmax") else name


def arrow(higher_is_better: bool) -> str:
    """Return an arrow that points in the direction in which a metric is better.

    Example:
        >>> arrow(True), arrow(False)
        ('↑', '↓')
    """
    return _ARROWS[higher_is_better]


def _measured(value: float | None) -> bool:
    return value is not None and not math.isnan(value)
