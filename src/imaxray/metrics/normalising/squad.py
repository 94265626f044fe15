"""Normalises text as SQuAD's evaluation script does, for comparisons with published numbers."""

from __future__ import annotations

import re
import string
from typing import Final

_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


def squad(text: str) -> str:
    """Normalise as SQuAD does: lower case, no ASCII punctuation, no articles, single spaces.

    The rule takes "1.5 cm" for "15 cm", and "a" for no answer at all.

    Example:
        >>> squad("The left lung, clear."), squad("1.5 cm"), squad("(a)")
        ('left lung clear', '15 cm', '')
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())
