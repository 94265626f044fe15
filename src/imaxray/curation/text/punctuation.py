"""Repairs the spaces and punctuation that other steps of cleaning, or typists, left behind."""

from __future__ import annotations

import re
from typing import Final

ODD: Final = (
    r"[ \t]{2,}|[ \t][.,;:!?)]|[.,;:!?][ \t]*[.,;:!?]|\([ \t.,;:]*\)|\([ \t]|^[\s.,;:!?)]"
    r"|[\s,;:(-]$|[ \t]-[ \t]*[.,;:]"
)
"""Matches every text that :func:`tidy` may change, and some others."""

_STEPS: Final = tuple(
    (re.compile(pattern), plain)
    for pattern, plain in (
        (r"(?<=\d)\.{2,}(?=\d)", ". "),  # two numbers are not joined to a third
        (r"\.{2,}", "."),
        (r"[ \t]{2,}", " "),
        (r"\([ \t.,;:]*\)", ""),
        (r"(\()[ \t]+", r"\1"),
        (r"[ \t]-[ \t]*(?=[.,;:](?!\d))", ""),
        (r"[ \t]+(?=[,;:!?)]|\.(?!\d))", ""),
        (r"([!?])(?:[ \t]*[.,;:!?](?!\d))+", r"\1"),
        (r"[.,;:](?:[ \t]*[.,;:](?!\d))+(?<=[.,;:])", None),
        (r"^(?:[\s,;:!?)]|\.(?!\d))+", ""),
        (r"(?:[\s,;:(]|(?<=\s)-)+$", ""),
    )
)


def tidy(text: str) -> str:
    """Return a text without repeated spaces, empty parentheses and orphan punctuation.

    Of several marks in a row one stays: the full stop if there is one, else the first. A point
    before a digit belongs to its number.

    Example:
        >>> tidy("Seen on . , The heart , enlarged .. (  )")
        'Seen on. The heart, enlarged.'
    """
    before = None
    while before != text:
        before = text
        for pattern, plain in _STEPS:
            text = pattern.sub(_strongest if plain is None else plain, text)
    return text


def _strongest(found: re.Match[str]) -> str:
    return "." if "." in found.group() else found.group()[0]
