"""Tells prose, as of a report, from the spellings of a column, which questions and notes show."""

from __future__ import annotations

from collections import Counter
from typing import Final

from imaxray._common.printing import counted

_LONGEST: Final = 60
_WORDS: Final = 6
"""A cell of more characters or words is prose."""


def is_prose(text: str) -> bool:
    """Return whether a cell is prose, whose text no message and no `source.yaml` may show.

    Example:
        >>> is_prose("small left pleural effusion"), is_prose("The heart is larger than on May 3.")
        (False, True)
    """
    return len(text) > _LONGEST or len(text.split()) > _WORDS


def without_prose(items: Counter[str], column: str, notes: dict[str, str]) -> Counter[str]:
    """Return the items that are spellings, and note how many are prose.

    Args:
        items: Spellings and how often each occurs.
        column: Name of the column.
        notes: What is said of columns.
    """
    prose = sum(count for text, count in items.items() if is_prose(text))
    if prose:
        notes[f"{column}: {counted(prose, 'cell')} of prose"] = (
            f"more than {_WORDS} words or {_LONGEST} characters are no spelling; if these are "
            f"reports, say --column 'report={column}'"
        )
    return Counter({text: count for text, count in items.items() if not is_prose(text)})
