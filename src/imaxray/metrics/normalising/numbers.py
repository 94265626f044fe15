"""Rewrites numbers that are words or Roman numerals: ``two``, ``third``, ``half``, ``grade II``."""

from __future__ import annotations

import re
from typing import Final

_ONES: Final = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS: Final = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
    "eighteen", "nineteen",
)  # fmt: skip
_TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUE: Final = {
    "zero": 0,
    **{word: number for number, word in enumerate((*_ONES, *_TEENS), start=1)},
    **{word: 10 * number for number, word in enumerate(_TENS, start=2)},
}
_BELOW_100: Final = (
    rf"(?:{'|'.join(_TENS)})(?:[\s-]+(?:{'|'.join(_ONES)}))?|{'|'.join(_TEENS)}|{'|'.join(_ONES)}"
)
_CARDINAL: Final = re.compile(
    rf"\b(?:({'|'.join(_ONES)})[\s-]+hundred(?:(?:[\s-]+and)?[\s-]+({_BELOW_100}))?"
    rf"|(zero|{_BELOW_100}))\b"
)
_POINT: Final = re.compile(r"\b([0-9]+)\s+point\s+([0-9](?:\s?[0-9])*)\b")

_ORDINALS: Final = {
    word: number
    for number, word in enumerate(
        ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
         "tenth", "eleventh", "twelfth"),
        start=1,
    )
}  # fmt: skip
_ORDINAL: Final = re.compile(rf"\b(?:({'|'.join(_TENS)})[\s-]+)?({'|'.join(_ORDINALS)})\b")

_PARTS: Final = {"third": 3, "quarter": 4, "fourth": 4, "fifth": 5}
_FRACTION: Final = re.compile(
    rf"\b(one|two|three|four|[1-4])[\s-]+({'|'.join(_PARTS)})(s?)\b|\b(?:(?:one|1)[\s-]+)?(half)\b"
)

_ROMAN: Final = {
    "i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "x": 10,
    "xi": 11, "xii": 12,
}  # fmt: skip
DESIGNATORS: Final = (
    "grade", "stage", "zone", "type", "class", "category", "phase", "level", "group", "segment",
    "degree", "nyha",
)  # fmt: skip
"""Words after which a Roman numeral is a number and a single letter is a name."""

_NUMERAL: Final = rf"(?:{'|'.join(sorted(_ROMAN, key=len, reverse=True))})[abc]?(?![^\W_])"
# "the type I see": the pronoun, not the number one
_NO_PRONOUN: Final = (
    r"(?!\s+(?:am|would|will|can|could|cannot|see|saw|think|know|believe|suspect|have|do|did|was)"
    r"\b)"
)
_AFTER_DESIGNATOR: Final = re.compile(
    rf"\b({'|'.join(DESIGNATORS)})(s?[\s:#-]+)"
    rf"({_NUMERAL}(?:(?:\s*[-/,]\s*|\s+(?:to|or|and)\s+){_NUMERAL})*){_NO_PRONOUN}"
)
_ONE_NUMERAL: Final = re.compile(rf"(?<![^\W_]){_NUMERAL}")


def fractions(text: str) -> str:
    """Rewrite fractions in words as digits.

    Example:
        >>> fractions("two thirds of the lung"), fractions("one half")
        ('2/3 of the lung', '1/2')
    """

    def digits(found: re.Match[str]) -> str:
        if found[4]:
            return "1/2"
        top = _VALUE.get(found[1]) or int(found[1])
        # one third, but two thirds; "two third" is no fraction
        return f"{top}/{_PARTS[found[2]]}" if (top > 1) == bool(found[3]) else found[0]

    return _FRACTION.sub(digits, text)


def ordinals(text: str) -> str:
    """Rewrite ordinal words up to the twelfth, and those of tens, as digits with their ending.

    Example:
        >>> ordinals("third rib"), ordinals("twenty-first day")
        ('3rd rib', '21st day')
    """

    def digits(found: re.Match[str]) -> str:
        tens, ones = _VALUE.get(found[1] or "", 0), _ORDINALS[found[2]]
        if tens and ones > len(_ONES):
            return found[0]
        ending = {1: "st", 2: "nd", 3: "rd"}.get(ones, "th")
        return f"{tens + ones}{ending}"

    return _ORDINAL.sub(digits, text)


def number_words(text: str) -> str:
    """Rewrite numbers in words, up to 999, as digits.

    Example:
        >>> number_words("twenty-five of one hundred and five"), number_words("one point five")
        ('25 of 105', '1.5')
    """

    def value(words: str) -> int:
        return sum(_VALUE[word] for word in re.split(r"[\s-]+", words))

    def digits(found: re.Match[str]) -> str:
        if found[1]:
            return str(100 * _VALUE[found[1]] + (value(found[2]) if found[2] else 0))
        return str(value(found[3]))

    return _POINT.sub(
        lambda found: f"{found[1]}.{''.join(found[2].split())}", _CARDINAL.sub(digits, text)
    )


def roman_numerals(text: str) -> str:
    """Rewrite Roman numerals up to XII as digits, but only after a word such as grade or stage.

    Elsewhere ``I`` is a pronoun, ``IV`` is intravenous and ``V`` is a letter.

    Example:
        >>> roman_numerals("grade ii-iii"), roman_numerals("stage iiia"), roman_numerals("iv line")
        ('grade 2-3', 'stage 3a', 'iv line')
    """

    def digit(found: re.Match[str]) -> str:
        numeral = found[0] if found[0] in _ROMAN else found[0][:-1]
        return f"{_ROMAN[numeral]}{found[0][len(numeral) :]}"

    return _AFTER_DESIGNATOR.sub(
        lambda found: found[1] + found[2] + _ONE_NUMERAL.sub(digit, found[3]), text
    )
