"""Rewrites dates as ISO dates: ``March 12, 2020`` and ``12.03.2020`` become ``2020-03-12``."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Final

_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_NUMBER: Final = {
    name: number for number, month in enumerate(_MONTHS, start=1) for name in (month, month[:3])
} | {"sept": 9}
_MONTH: Final = rf"({'|'.join(sorted(_NUMBER, key=len, reverse=True))})\b\.?"
_DAY: Final = r"([0-9]{1,2})(?:st|nd|rd|th)?"
_YEAR: Final = r"([0-9]{4})(?![0-9])"
_START: Final = r"(?<![^\W_])(?<![0-9][./-])"
_END: Final = r"(?![./-]?[0-9])(?![^\W_])"


def _iso(year: str, month: str, day: str, found: re.Match[str]) -> str:
    try:
        return date(int(year), _NUMBER.get(month) or int(month), int(day)).isoformat()
    except ValueError:  # no such day, so it is no date
        return found[0]


def _month_first(found: re.Match[str]) -> str:
    first, _, second, year = found.groups()
    if int(first) > len(_MONTHS):
        return _iso(year, second, first, found)
    return _iso(year, first, second, found)


_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = (
    (re.compile(rf"{_START}([0-9]{{4}})([-/.])([0-9]{{1,2}})\2([0-9]{{1,2}}){_END}"),
     lambda f: _iso(f[1], f[3], f[4], f)),
    (re.compile(rf"{_START}([0-9]{{1,2}})([-/])([0-9]{{1,2}})\2([0-9]{{4}}){_END}"), _month_first),
    (re.compile(rf"{_START}([0-9]{{1,2}})\.([0-9]{{1,2}})\.([0-9]{{4}}){_END}"),
     lambda f: _iso(f[3], f[2], f[1], f)),
    (re.compile(rf"\b{_MONTH}\s+{_DAY},?\s+{_YEAR}"), lambda f: _iso(f[3], f[1], f[2], f)),
    (re.compile(rf"\b{_DAY}\s+(?:of\s+)?{_MONTH},?\s+{_YEAR}"),
     lambda f: _iso(f[3], f[2], f[1], f)),
    (re.compile(rf"\b{_MONTH},?\s+{_YEAR}"), lambda f: f"{f[2]}-{_NUMBER[f[1]]:02d}"),
)  # fmt: skip


def dates(text: str) -> str:
    """Rewrite dates with a year of four digits as ISO dates.

    ``/`` and ``-`` stand between month, day and year in this order, as in the releases from the
    United States, unless the first number is above 12; ``.`` stands between day, month and year.
    What is no day of the calendar stays as it is.

    Example:
        >>> dates("03/12/2020"), dates("12.03.2020"), dates("12th of march 2020")
        ('2020-03-12', '2020-03-12', '2020-03-12')
        >>> dates("march 2020"), dates("02/30/2020")
        ('2020-03', '02/30/2020')
    """
    for form, rewritten in _FORMS:
        text = form.sub(rewritten, text)
    return text
