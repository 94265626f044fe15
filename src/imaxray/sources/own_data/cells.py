"""Reads single cells of your own tables: labels, numbers, dates, grades and boxes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping as Named
from datetime import date, datetime
from typing import Final, Literal

from imaxray.sources.own_data.mapping import BoxForm
from imaxray.sources.own_data.vocabulary import BLANK, GRADES, LABEL_VALUES, MEANINGS

Decimal = Literal[".", ","]

_POINT: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_COMMA: Final = re.compile(r"[+-]?(?:\d+(?:,\d*)?|,\d+)(?:[eE][+-]?\d+)?")
_FAR: Final = 1e15
_BETWEEN: Final = re.compile(r"[\s;|]+")
_BRACKETS: Final = str.maketrans("[](){}", "      ")


class CellError(ValueError):
    """Says that a cell cannot be read as what its column should hold."""


def is_blank(text: str | None) -> bool:
    """Return whether a cell states nothing.

    Example:
        >>> is_blank(None), is_blank(" N/A "), is_blank("0")
        (True, True, False)
    """
    return text is None or text.strip().lower() in BLANK


def number(text: str, decimal: Decimal) -> float:
    """Return the number in a cell; the decimal mark must be the stated one.

    Raises:
        CellError: If the cell holds no number, or one with the other mark.

    Example:
        >>> number("0,52", ","), number("12.5", ".")
        (0.52, 12.5)
    """
    bare = text.strip()
    if not (_COMMA if decimal == "," else _POINT).fullmatch(bare):
        raise CellError("no number")
    value = float(bare.replace(",", "."))
    if not math.isfinite(value) or abs(value) >= _FAR:
        raise CellError("no number")
    return value


def ratio(text: str, decimal: Decimal, *, percent: bool) -> float:
    """Return a ratio; a percent sign, or ``percent``, divides by 100.

    Raises:
        CellError: If the cell holds no number.

    Example:
        >>> ratio("52 %", ".", percent=False), ratio("52", ".", percent=True)
        (0.52, 0.52)
    """
    bare = text.strip()
    signed = bare.endswith("%")
    value = number(bare.removesuffix("%"), decimal)
    return value / 100 if signed or percent else value


def label_value(text: str | None, further: Named[str, str]) -> float | None:
    """Return 1 yes, 0 no, -1 uncertain, or None if the cell states nothing.

    Args:
        text: Cell.
        further: Further spellings, of any case, and what they mean (`label_values`).

    Raises:
        CellError: If the spelling is not known.

    Example:
        >>> label_value("Ja", {}), label_value("2", {"2": "uncertain"}), label_value(" ", {})
        (1.0, -1.0, None)
    """
    spelling = "" if text is None else " ".join(text.split()).lower()
    if spelling in further:
        return MEANINGS[further[spelling]]
    if spelling in BLANK:
        return None
    if spelling not in LABEL_VALUES:
        raise CellError("unknown spelling")
    return LABEL_VALUES[spelling]


def grade(text: str) -> float:
    """Return a grade of edema, 0 to 3.

    Raises:
        CellError: If the cell is no grade.
    """
    spelling = " ".join(text.split()).lower()
    if spelling not in GRADES:
        raise CellError("no grade")
    return GRADES[spelling]


def day(text: str, form: str) -> date:
    """Return the date in a cell, which may be followed by a time of day.

    Raises:
        CellError: If the cell is no date of this form.

    Example:
        >>> day("31.01.2024", "%d.%m.%Y").isoformat()
        '2024-01-31'
        >>> day("2024-01-31 08:15", "%Y-%m-%d").isoformat()
        '2024-01-31'
    """
    bare = text.strip()
    parts = [bare, bare.split("T")[0], " ".join(bare.split(" ")[: form.count(" ") + 1])]
    for part in parts:
        try:
            found = datetime.strptime(part, form).date()
        except ValueError:
            continue
        if 1890 <= found.year <= 2200:  # a year of two digits that was read as four
            return found
    raise CellError("no date of this form")


def numbers(text: str, decimal: Decimal) -> list[float]:
    """Return all numbers of a cell such as ``[10, 20, 110, 220]`` or ``10 20 110 220``.

    Raises:
        CellError: If the cell holds anything else.

    Example:
        >>> numbers("[[1, 2, 3.5, 4]]", "."), numbers("1;2;3,5;4", ",")
        ([1.0, 2.0, 3.5, 4.0], [1.0, 2.0, 3.5, 4.0])
    """
    bare = text.translate(_BRACKETS).strip()
    if decimal == ".":
        bare = bare.replace(",", " ")
    elif text.lstrip().startswith("["):
        return _of_json(text)
    return [number(part, decimal) for part in _BETWEEN.split(bare.strip("; ")) if part]


def _of_json(text: str) -> list[float]:
    """Return the numbers of JSON, which always has a decimal point."""
    try:
        rest = [json.loads(text)]
    except ValueError as error:
        raise CellError("no list of numbers") from error
    found: list[float] = []
    while rest:
        item = rest.pop(0)
        if isinstance(item, list):
            rest = item + rest
        elif isinstance(item, (int, float)) and not isinstance(item, bool) and abs(item) < _FAR:
            found.append(float(item))
        else:
            raise CellError("no number")
    return found


def corners(
    values: list[float],
    form: BoxForm,
    *,
    fraction: bool,
    of: tuple[float, float],
    size: tuple[int, int],
) -> list[float]:
    """Return a box as x1, y1, x2, y2 in pixels of the image file.

    Args:
        values: Four numbers.
        form: What the numbers are.
        fraction: Whether they are fractions of width and height.
        of: Width and height that pixels count in.
        size: Width and height of the image file.

    Example:
        >>> corners([10, 20, 30, 40], "xywh", fraction=False, of=(100, 100), size=(200, 200))
        [20.0, 40.0, 80.0, 120.0]
    """
    a, b, c, d = values
    if form == "xywh":
        c, d = a + c, b + d
    elif form == "cxcywh":
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    across, down = size if fraction else (size[0] / of[0], size[1] / of[1])
    return [float(a * across), float(b * down), float(c * across), float(d * down)]
