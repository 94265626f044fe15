"""Reads the ratio that an answer states; reference values and lengths are left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from imaxray.tasks._shared.reading.objects import ASIDE, parse_object, with_single_spaces

_COMMA: Final = re.compile(r"(?<![\d.,])(\d{1,3}),(\d{1,4})(?![\d,]|\.\d)")
_UNIT: Final = re.compile(
    r"\s*-?(?:cm|mm|px|pixels?|centimet\w+|millimet\w+|inch\w*|m|mm2|cm2)\b", re.IGNORECASE
)
_HARD: Final = re.compile(
    r"(?:(?<![-–—=])[<>≤≥]=?"
    r"|\b(?:less|more|greater|higher|lower|larger|smaller) than(?: or equal to)?"
    r"|\b(?:below|above|over|under|up to|at most|at least|exceed\w*|beyond|surpass\w*|cut-?offs?"
    r"|thresholds?|upper (?:normal )?limits?(?: of normal)?|limits?|reference\w*|normally"
    r"|typically|usually"
    r"|confidence(?: level| score)?|probability|certainty|normal (?:range|values?|limits?|is"
    r"|(?:ctr|ratio"
    r"|cardiothoracic ratio)(?! of| ?\())|expected))"
    r"(?: (?:is|are|of|value|ratio|to|be|considered|ctr|the|normal|an?|around|about"
    r"|approximately|for"
    r"|adults?|in|range|limit|threshold|cutoff|generally|usually|typically|being|or|equal|within"
    r"|should|less|than|up|below|under))*\s*[:=(≤<>]*\s*$",
    re.IGNORECASE,
)
_PRIOR: Final = re.compile(
    r"\b(?:previous(?:ly)?|prior|earlier|formerly|last)\b(?![^.,;\n]*\bto\b)[^.,;\n]{0,25}$",
    re.IGNORECASE,
)
_PRIOR_AFTER: Final = re.compile(
    r"\s*(?:before|previously|earlier|(?:on|in) the (?:prior|previous|earlier))\b", re.IGNORECASE
)
_BEHIND: Final = re.compile(
    r"\s*\)?\s*(?:is|are|being|was|as)?\s*(?:the|an?"
    r"|considered)?\s*(?:\w+ )?(?:(?:normal )?(?:upper limit|threshold|cut-?off"
    r"|limit of normal|reference|confiden\w+|normal limit)|is (?:considered )?(?:normal|abnormal"
    r"|the limit))",
    re.IGNORECASE,
)
_CHANGE: Final = re.compile(
    r"\b(?:by|magnif\w+|error|margin|accuracy|within)\b[^.;\n]{0,30}$", re.IGNORECASE
)
_HALF_RANGE: Final = re.compile(r"\d\s*(?:-|–|—|to)\s*$")
_SPREAD: Final = re.compile(r"(?:±|\+/-|\bplus or minus)\s*$")
_DIVIDED: Final = re.compile(r"\s*(?:/|÷|divided by|over)\s*\.?\d", re.IGNORECASE)
_DIVISOR: Final = re.compile(r"\d\s*(?:/|÷|divided by|over)\s*$", re.IGNORECASE)
_TO: Final = re.compile(r"^\s*(?:-|–|—|to|and|\.\.)\s*$")
_BETWEEN: Final = re.compile(r"\b(?:between|from|range[sd]?|within)\b[^.\n]{0,25}$", re.IGNORECASE)
_NORMAL: Final = re.compile(r"\bnormal\b[^.;\n]{0,25}$", re.IGNORECASE)
_QUOTIENT: Final = re.compile(
    r"(?<![\d.])(\d+(?:\.\d+)?)\s*(?:cm|mm|px|pixels?)?\s*[:/÷]\s*(\d+(?:\.\d+)?)\s*(?:cm|mm|px|pixels?)?(?!\d|\.\d)"
)
_WORD_RATIO: Final = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)\s+to\s+(\d+(?:\.\d+)?)(?!\d|\.\d)")
_NAMES: Final = {
    "ctr": re.compile(r"\b(?:ctr|cardio-?\s?thoracic(?: ratio)?)\b", re.IGNORECASE),
    "cpar": re.compile(r"\b(?:cpar|cardio-?\s?pulmonary(?: area)?(?: ratio)?)\b", re.IGNORECASE),
}
_NAMED: Final = re.compile(
    r"\b(?:ratio|ctr|cpar|result|value)\b(?:\s*\([^)]*\))?\s*(?:(?:is|was|of|equals|at|about|around|approximately"
    r"|roughly|nearly|measures|comes|out|to|estimated|calculated|measured|be|would|therefore|thus|then|here)"
    r"\s+|[=:≈~]\s*)*$",
    re.IGNORECASE,
)
_LAST: Final = re.compile(
    r"\b(?:therefore|thus|hence|overall|in conclusion|so|final(?:ly)?|giving|gives|yield\w*"
    r"|results? in"
    r"|corrected|measured|calculated|estimated|actual|this patient|here|this image"
    r"|this radiograph)\b",
    re.IGNORECASE,
)
_SAME: Final = 0.0051  # two numbers that are roundings of each other


@dataclass(frozen=True)
class _Found:
    value: float
    start: int
    end: int
    soft: bool  # may be a reference value


def ratio_of(text: str, subtask: str) -> float | None:
    """Return the ratio in (0, 1) that an answer states as its measurement.

    Lengths, confidences and reference values ("below 0.5") are no measurement. Of several numbers
    the one with the name of the ratio, after the last ``=``, or after a word such as "measured"
    counts; several numbers without such a hint, and ranges, are unreadable. ``1:2`` is 0.5.

    Example:
        >>> ratio_of("Normal is below 0.5. The measured ratio is 0.56", "ctr")
        0.56
        >>> ratio_of("13.5 cm / 26.0 cm = 0,52", "ctr")
        0.52
        >>> ratio_of("between 0.50 and 0.55", "ctr") is None
        True
    """
    found = parse_object(text)
    if found is not None:
        return _of_json(found, subtask)
    text = _COMMA.sub(r"\1.\2", with_single_spaces(text))
    numbers = _numbers(text)
    if numbers is None:
        return None
    if not numbers:
        return _quotient(text)
    return _chosen(text, numbers, subtask)


def _of_json(value: Any, subtask: str) -> float | None:
    if isinstance(value, dict):
        own = [v for k, v in value.items() if _NAMES[subtask].search(_spaced(k))]
        other = [v for k, v in value.items() if any(p.search(_spaced(k)) for p in _NAMES.values())]
        named = [
            v
            for k, v in value.items()
            if re.search(r"ratio|answer|result|value|measurement", str(k), re.I)
        ]
        rest = [v for k, v in value.items() if not ASIDE.fullmatch(str(k))]
        for chosen in (own, [] if other else named, [] if other else rest):
            given = {_of_json(v, subtask) for v in chosen} - {None}
            if given:
                return given.pop() if len(given) == 1 else None
        return None
    if isinstance(value, list):
        return _of_json(value[0], subtask) if len(value) == 1 else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if 0 < value < 1 else None
    return ratio_of(value, subtask) if isinstance(value, str) else None


def _spaced(key: Any) -> str:
    return str(key).replace("_", " ")


def _numbers(text: str) -> list[_Found] | None:
    """Return the numbers that may be the measurement; ``None`` if a range is all there is."""
    found: list[_Found] = []
    every = list(re.finditer(
        r"(?<![\d.a-zA-Z])(?:\d*\.\d+|\d+(?=\s*(?:%|percent\b|per cent\b|pct\b)))"
        r"(?:\s*(?:%|percent\b|per cent\b|pct\b))?",
        text, re.IGNORECASE,
    ))  # fmt: skip
    skip: set[int] = set()
    ranges = False
    for first, second in pairwise(every):
        between = text[first.end() : second.start()]
        dash = _TO.match(between) and (
            between.strip() not in ("and",) or _BETWEEN.search(text[: first.start()])
        )
        if dash:
            skip |= {first.start(), second.start()}
            ranges = True
    for match in every:
        before, after = text[: match.start()], text[match.end() :]
        line = re.split(r"[.;\n](?=\s)|\n", before)[-1]
        if before.endswith("-") and not re.search(r"[\d%]\s*-$", before):
            continue  # no ratio is negative
        if _PRIOR.search(line) or _PRIOR_AFTER.match(after):
            continue
        percent = re.search(r"%|p", match.group(), re.I)
        raw = re.match(r"[\d.]+", match.group())
        value = float(raw.group()) / (100 if percent else 1) if raw else 0.0
        if percent and (_CHANGE.search(line) or _HALF_RANGE.search(before)):
            continue  # "magnified by 10-15 %" is no ratio
        if (
            match.start() in skip
            or _UNIT.match(after)
            or _SPREAD.search(before)
            or not 0 < value < 1
        ):
            continue
        if _HARD.search(line) or _BEHIND.match(after):
            continue
        if _DIVIDED.match(after) or _DIVISOR.search(before):
            continue  # a length as a part of something, which is divided
        found.append(_Found(value, match.start(), match.end(), bool(_NORMAL.search(line))))
    return None if ranges and not found else found


def _chosen(text: str, numbers: Sequence[_Found], subtask: str) -> float | None:
    for of_name in (True, False):
        chosen = [n for n in numbers if _subject(text, n) == subtask] if of_name else list(numbers)
        if not of_name:
            other = [n for n in numbers if _subject(text, n) not in (None, subtask)]
            chosen = [n for n in numbers if n not in other]
        if not chosen:
            continue
        value = _one(chosen)
        if value is None:
            value = _one([n for n in chosen if not n.soft])
        if value is None:
            value = _one([n for n in chosen if _NAMED.search(text[: n.start])])
        if value is None:
            value = _one(
                [
                    n
                    for n in chosen
                    if re.search(r"[=≈]\s*(?:about |approximately |~)?$", text[: n.start])
                ][-1:]
            )
        if value is None:
            value = _one([n for n in chosen if _LAST.search(_clause(text, n))])
        return value
    return None


def _clause(text: str, number: _Found) -> str:
    return re.split(r"[.;\n](?=\s)|\n|,\s", text[: number.start])[-1]


def _subject(text: str, number: _Found) -> str | None:
    """Return the ratio that is named last before a number in its sentence."""
    line = re.split(r"[.;\n](?=\s)|\n", text[: number.start])[-1]
    places = {
        name: max((match.end() for match in pattern.finditer(line)), default=-1)
        for name, pattern in _NAMES.items()
    }
    name = max(places, key=lambda key: places[key])
    return name if places[name] >= 0 else None


def _one(numbers: Sequence[_Found]) -> float | None:
    """Return the last number if all are the same but for rounding."""
    values = [number.value for number in numbers]
    if not values or max(values) - min(values) > _SAME:
        return None
    return values[-1]


def _quotient(text: str) -> float | None:
    """Read ``1:2`` or ``13.5 cm / 26 cm``, the only quotient of an answer."""
    found = [*_QUOTIENT.findall(text), *_WORD_RATIO.findall(text)]
    if len(found) != 1:
        return None
    above, below = map(float, found[0])
    return above / below if 0 < above < below else None
