"""Bounds the length of answers for metrics whose time grows faster than the answer.

A model that repeats itself until its token limit writes answers of tens of thousands of words.
METEOR's alignment takes minutes for such a text, or ends its program, ROUGE-L fills a table of gold
words times answer words, and RadEval's models have no room for it. These metrics read the first
``MAX_WORDS`` words of an answer only. All other metrics take time in proportion to the text and
read all of it. A scored run counts the answers that are longer (``long`` in ``result.json``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MAX_WORDS: Final = 2000
"""Number of words and punctuation marks of an answer that METEOR, ROUGE-L and RadEval read.

A radiology report has at most a few hundred words.
"""

_UNIT: Final = re.compile(r"[^\W_]+|[^\w\s]|_")


def bounded(text: str) -> str:
    """Return the text up to its ``MAX_WORDS``-th word or punctuation mark.

    Example:
        >>> bounded("Heart enlarged.")
        'Heart enlarged.'
        >>> len(bounded("no effusion. " * 50_000).split())
        1334
    """
    if len(text) <= MAX_WORDS:
        return text
    for number, found in enumerate(_UNIT.finditer(text), start=1):
        if number == MAX_WORDS:
            return text[: found.end()]
    return text


def is_long(answer: Any) -> bool:
    """Return whether a parsed answer, or a text in it, is longer than metrics read.

    Example:
        >>> is_long({"findings": "clear " * 3000}), is_long("clear"), is_long(0.52), is_long(None)
        (True, False, False, False)
    """
    if isinstance(answer, str):
        return len(bounded(answer)) < len(answer.rstrip())
    if isinstance(answer, Mapping):
        return is_long(" ".join(text for text in answer.values() if isinstance(text, str)))
    return False
