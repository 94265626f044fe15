"""Turns numbered and dashed lists of report text into sentences, before wrapped lines are joined.

The mark of an item also ends the item before it. If lines were joined first, "No acute process" and
"2. Stable cardiomegaly" would become one sentence, and the negation would deny the cardiomegaly.
"""

from __future__ import annotations

import re
from typing import Final

MARKED: Final = r"(?:^|\s)(?:\(?\d{1,2}[.)]|#\d)|(?:^|\n)[ \t]*[-–—•*·]"
"""Matches every text that may hold a list, and some others."""

_NUMBER: Final = re.compile(r"(?:(?<=\s)|^)(?:\((\d{1,2})\)|#?(\d{1,2})[.)])(?:\s+|(?=[A-Z]))")
_DASH: Final = re.compile(r"^[ \t]*[-–—•*·](?:[ \t]+|(?=[A-Z]))", re.MULTILINE)
_DASH_INSIDE: Final = re.compile(r"\s[-–—•*·]\s+(?=[A-Z])")
_NO_LIST: Final = re.compile(
    r"(?:\b(?:[ctls]|ribs?|grades?|levels?|types?|stages?|zones?|numbers?|no|series|images?|views?"
    r"|and|or|to|of|at|is|are|was|by|than|measures?|measuring|approximately|about|x|least|most"
    r"|prior|day|days)|[-–/=,])\s*$",
    re.IGNORECASE,
)
"""Matches what stands before a number that belongs to the sentence, as in "rib 2. No effusion"."""


def as_sentences(text: str) -> str:
    r"""Return the text with each item of a list as a sentence of its own, without its mark.

    A number is a mark if it starts a line or follows a space, has a full stop or parenthesis, and
    continues the list: 1, 2, 3. A list may lack its first number. A dash is a mark at the start of
    a line; in a text that starts with a dash, also between items.

    Example:
        >>> as_sentences("No acute process 2. Stable cardiomegaly")
        'No acute process.\nStable cardiomegaly'
        >>> as_sentences("- No pleural effusion\n- Cardiomegaly")
        'No pleural effusion.\nCardiomegaly'
        >>> as_sentences("A nodule at rib 2. It measures 3.5 cm.")
        'A nodule at rib 2. It measures 3.5 cm.'
    """
    return _split(_split(text, _dashes(text)), None)


def _split(text: str, marks: list[re.Match[str]] | None) -> str:
    marks = _numbers(text) if marks is None else marks
    if not marks:
        return text
    starts, ends = [0, *(m.end() for m in marks)], [*(m.start() for m in marks), len(text)]
    items = [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    items = [item for item in items if item]
    return "\n".join([*(_ended(item) for item in items[:-1]), *items[-1:]])


def _ended(item: str) -> str:
    """Return an item with a full stop, unless its own punctuation ends it."""
    bare = item.rstrip(" \t\n,;")
    return bare if bare[-1:] in (".", "!", "?", ":") else f"{bare}." if bare else ""


def _dashes(text: str) -> list[re.Match[str]]:
    marks = list(_DASH.finditer(text))
    if len(marks) == 1 and marks[0].start() == 0:
        marks += _DASH_INSIDE.finditer(text, marks[0].end())
    return marks


def _numbers(text: str) -> list[re.Match[str]]:
    marks: list[re.Match[str]] = []
    last = 0
    for found in _NUMBER.finditer(text):
        number = int(found.group(1) or found.group(2))
        before = text[: found.start()]
        starts_line = not before.strip(" \t") or before.rstrip(" \t").endswith("\n")
        ended = before.rstrip()[-1:] in ("", ".", "!", "?", ":", ";")
        follows = (
            number == last + 1
            or (last == 0 and number == 2)
            or (number == 1 and (ended or starts_line))
        )
        if follows and (ended or starts_line or _is_mark(text, found)):
            marks.append(found)
            last = number
    return marks


def _is_mark(text: str, found: re.Match[str]) -> bool:
    """Return whether a number inside a line, with no full stop before it, is a mark."""
    after = text[found.end() : found.end() + 1]
    return after.isupper() and not _NO_LIST.search(text[max(0, found.start() - 40) : found.start()])
