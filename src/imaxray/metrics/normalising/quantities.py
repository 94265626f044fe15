"""Rewrites numbers with their signs, ranges and units, so that equal quantities are one token.

``1.5 cm`` and ``15 mm`` become ``15mm``, ``2 to 3 cm`` becomes ``20..30mm``, ``52 percent`` becomes
``52%``. A quantity is one token because its unit belongs to its value: half a point for the unit
alone would reward a wrong size.
"""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final[dict[str, tuple[str, int]]] = {
    **dict.fromkeys(("mm", "mms", "millimeter", "millimeters", "millimetre", "millimetres"),
                    ("mm", 0)),
    **dict.fromkeys(("cm", "cms", "centimeter", "centimeters", "centimetre", "centimetres"),
                    ("mm", 1)),
    **dict.fromkeys(("meter", "meters", "metre", "metres"), ("mm", 3)),
    **dict.fromkeys(("mm2", "mm^2", "sq mm"), ("mm2", 0)),
    **dict.fromkeys(("cm2", "cm^2", "sq cm"), ("mm2", 2)),
    **dict.fromkeys(("ml", "mls", "cc", "ccs", "cm3", "cm^3", "milliliter", "milliliters",
                     "millilitre", "millilitres"), ("ml", 0)),
    **dict.fromkeys(("mm3", "mm^3"), ("ml", -3)),
    **dict.fromkeys(("liter", "liters", "litre", "litres"), ("ml", 3)),
    **dict.fromkeys(("g", "gram", "grams"), ("g", 0)),
    **dict.fromkeys(("mg", "milligram", "milligrams"), ("g", -3)),
    **dict.fromkeys(("kg", "kgs", "kilogram", "kilograms"), ("g", 3)),
    **dict.fromkeys(("mmhg", "mm hg"), ("mmhg", 0)),
    **dict.fromkeys(("%", "percent", "per cent", "pct"), ("%", 0)),
    **dict.fromkeys(("hu", "hounsfield units"), ("hu", 0)),
    **dict.fromkeys(("deg", "degree", "degrees", "°"), ("deg", 0)),
    **dict.fromkeys(("inch", "inches"), ("inch", 0)),
    **dict.fromkeys(("yr", "yrs", "year", "years"), ("yr", 0)),
    **dict.fromkeys(("month", "months"), ("month", 0)),
    **dict.fromkeys(("week", "weeks"), ("week", 0)),
    **dict.fromkeys(("day", "days"), ("day", 0)),
    **dict.fromkeys(("hour", "hours", "hr", "hrs"), ("hour", 0)),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), ("min", 0)),
}  # fmt: skip
"""Spelling of a unit → the unit that it is written in, and the power of ten between the two.

``m`` and ``l`` alone are no units here, because they also stand for months, male and left.
"""

_NUM: Final = r"(?:[0-9]+(?:[.,][0-9]+)*|\.[0-9]+)"
_UNIT: Final = "|".join(re.escape(u) for u in sorted(_UNITS, key=len, reverse=True))
_SIGN: Final = r"(?:(?<![\w)%-])[-+](?=[.0-9])|±\s*)?"
_ITEM: Final = rf"{_SIGN}{_NUM}(?:\s*-?\s*(?:{_UNIT})(?![^\W_])|(?![^\W_])|(?=x[.0-9]))"
_BETWEEN: Final = r"\s*(?:\.\.|-|±|x)\s*|\s+(?:to|by)\s+|[/:](?=[0-9])"
_MONTH_OR_DAY: Final = r"[0-9]{4}-(?:0[1-9]|1[0-2])(?:-[0-9]{2})?(?![-.,]?[0-9])(?![^\W_])"
_FREE: Final = r"(?<![^\W_])(?<![0-9][.,])"  # not inside a word or another number
_QUANTITY: Final = re.compile(
    rf"{_FREE}(?:(?P<date>{_MONTH_OR_DAY})"
    rf"|(?P<bound>[<>]=?\s*)?(?P<items>{_ITEM}(?:(?:{_BETWEEN}){_ITEM}){{0,2}})"
    r"(?P<plus>\+(?![\w+]))?)"
)
_PART: Final = re.compile(rf"({_SIGN})({_NUM})(?:\s*-?\s*({_UNIT})(?![^\W_]))?")
_MARK: Final = re.compile(_BETWEEN)
_NAME_OF: Final = {"to": "..", "-": "..", "by": "x"}

_THOUSANDS: Final = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+|[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}")
_MIXED: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]+|[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+")

_NEXT: Final = r"(?=[-+±]?\s?\.?[0-9])"
_PLUS_MINUS: Final = re.compile(rf"\bplus(?:\s+or\s+|\s+|\s*/\s*)minus\s+{_NEXT}")
_MINUS: Final = re.compile(r"(?<![0-9])(?<![0-9]\s)\bminus\s+(?=\.?[0-9])")
_BOUNDS: Final = tuple(
    (re.compile(rf"\b(?:{words})\s+{_NEXT}"), sign)
    for words, sign in (
        (r"(?:no|not) (?:less|fewer|smaller|lower) than|at least", ">="),
        (r"(?:no|not) (?:more|greater|larger|higher|bigger) than|at most|up to", "<="),
        (r"(?:less|fewer|smaller|lower) than", "<"),
        (r"(?:more|greater|larger|higher|bigger) than", ">"),
    )
)
_FROM_TO: Final = re.compile(rf"\bfrom\s+({_ITEM})\s+to\s+({_ITEM})")
_BETWEEN_AND: Final = re.compile(rf"\bbetween\s+({_ITEM})\s+and\s+({_ITEM})")


def signs(text: str) -> str:
    """Rewrite signs that are words.

    Example:
        >>> signs("minus 1"), signs("52 plus or minus 3")
        ('-1', '52 ±3')
    """
    return _MINUS.sub("-", _PLUS_MINUS.sub("±", text))


def bounds(text: str) -> str:
    """Rewrite comparisons with a number as signs; ``above`` and ``over`` may be places and stay.

    Example:
        >>> bounds("less than 1 cm"), bounds("at least 2"), bounds("2 cm above the carina")
        ('<1 cm', '>=2', '2 cm above the carina')
    """
    for words, sign in _BOUNDS:
        text = words.sub(sign, text)
    return text


def ranges(text: str) -> str:
    """Rewrite ranges in words; :func:`quantities` reads ``2 to 3``, ``2-3`` and ``2..3``.

    Example:
        >>> ranges("between 2 and 3 cm"), ranges("from 2 to 3 cm")
        ('2 to 3 cm', '2 to 3 cm')
    """
    return _BETWEEN_AND.sub(r"\1 to \2", _FROM_TO.sub(r"\1 to \2", text))


def decimal(text: str) -> str | None:
    """Return a number without thousands separators and superfluous zeros; ``None`` if it is none.

    A comma is a thousands separator if groups of exactly three digits follow it and the number does
    not begin with 0; else it is a decimal comma. A point is a thousands separator only if there are
    several. If there are both, the last one is the decimal sign.

    Example:
        >>> decimal("1,5"), decimal("1,500"), decimal("0,125"), decimal("1.50"), decimal("1.2.3")
        ('1.5', '1500', '0.125', '1.5', None)
    """
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "").replace(".", "")
    elif _MIXED.fullmatch(text):
        last = max(text.rfind(","), text.rfind("."))
        text = re.sub("[.,]", "", text[:last]) + "." + text[last + 1 :]
    elif text.count(",") + text.count(".") > 1:
        return None
    return _plain(*text.replace(",", ".").partition(".")[::2])


def _plain(whole: str, fraction: str) -> str:
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def _shifted(number: str, power: int) -> str:
    """Multiply a decimal by a power of ten, exactly and for any number of digits."""
    whole, _, fraction = number.partition(".")
    if power >= 0:
        fraction = fraction.ljust(power, "0")
        return _plain(whole + fraction[:power], fraction[power:])
    whole = whole.rjust(-power, "0")
    return _plain(whole[:power], whole[power:] + fraction)


def quantities(text: str) -> str:
    """Rewrite each number, range or size, with its unit, as one token.

    Example:
        >>> quantities("1.5 cm"), quantities("2 x 3 cm"), quantities("2-3 cm"), quantities("52 %")
        ('15mm', '20x30mm', '20..30mm', '52%')
    """
    return _QUANTITY.sub(_one, text)


def _one(found: re.Match[str]) -> str:
    if found["date"]:
        return found[0]
    parts, between = _parts(found["items"])
    numbers = [decimal(number) for _, number, _ in parts]
    if None in numbers:  # "1,2,3" is a list, "1.2.3" a name
        return found[0].replace(",", ", ")
    units = [_UNITS[unit] if unit else None for _, _, unit in parts]
    stated = {unit[0] for unit in units if unit}
    if len(stated) > 1 or (found["plus"] and stated):
        return " ".join(
            _value(sign, number or "", unit) + (unit[0] if unit else "")
            for (sign, _, _), number, unit in zip(parts, numbers, units, strict=True)
        )
    # "2-3 cm": the unit of one number is the unit of all
    usual = next((unit for unit in reversed(units) if unit), None)
    values = [
        _value(sign, number or "", unit or usual)
        for (sign, _, _), number, unit in zip(parts, numbers, units, strict=True)
    ]
    joined = values[0] + "".join(
        mark + value for mark, value in zip(between, values[1:], strict=True)
    )
    return (found["bound"] or "").strip() + joined + (found["plus"] or "") + "".join(stated)


def _value(sign: str, number: str, unit: tuple[str, int] | None) -> str:
    value = _shifted(number, unit[1]) if unit else number
    return value if sign in ("", "+") or value == "0" else sign + value


def _parts(items: str) -> tuple[list[tuple[str, str, str | None]], list[str]]:
    """Return sign, number and unit of each number, and the marks between the numbers."""
    parts: list[tuple[str, str, str | None]] = []
    between: list[str] = []
    place = 0
    while True:
        found = _PART.match(items, place)
        assert found is not None  # the pattern of a quantity consists of these parts
        parts.append((found[1].strip(), found[2], found[3]))
        if found.end() == len(items):
            return parts, between
        mark = _MARK.match(items, found.end())
        assert mark is not None
        name = mark[0].strip()
        between.append(_NAME_OF.get(name, name))
        place = mark.end()


TOKEN: Final = re.compile(
    rf"{_FREE}(?:{_MONTH_OR_DAY}"
    r"|(?:[<>]=?)?[-±]?[0-9]+(?:\.[0-9]+)*(?:(?:\.\.|x|±|[/:])[-±]?[0-9]+(?:\.[0-9]+)*)*\+?"
    rf"(?:(?:{'|'.join(sorted({re.escape(unit) for unit, _ in _UNITS.values()}))}))?(?![^\W_]))"
    r"|[^\W_]+"
)
"""A word, or a quantity or date as the rules write it."""
