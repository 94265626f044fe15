"""How texts are compared: words that stand in a text, sides and labels that a phrase names."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from imaxray.boxes import PLACEHOLDER
from imaxray.labeller import mentions

_WORD: Final = re.compile(r"\w+(?:[.'-]\w+)*")
_SIDES: Final = {
    "left": "left", "right": "right", "bilateral": "both", "bilaterally": "both", "both": "both",
    "bibasilar": "both", "biapical": "both",
}  # fmt: skip


def words_of(text: str) -> list[str]:
    """The words of a text; ``0.52``, ``x-ray`` and ``patient's`` are one word each."""
    return _WORD.findall(text)


def holds(text: str, phrase: str) -> bool:
    """Whether the words of a phrase stand in a text in a row, upper and lower case alike.

    A phrase without words, or of placeholders for boxes alone, stands in no text.
    """
    words = " ".join(words_of(phrase.replace(PLACEHOLDER, " ").lower()))
    return bool(words) and f" {words} " in f" {' '.join(words_of(text.lower()))} "


def sides(text: str) -> frozenset[str]:
    """The patient's sides that a phrase names; ``bilateral`` is left and right."""
    found = {_SIDES[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _SIDES}
    return frozenset({"left", "right"} if "both" in found else found)


@lru_cache(maxsize=100_000)
def named(text: str) -> frozenset[str]:
    """Labels that a phrase names and does not deny."""
    return frozenset(mention.label for mention in mentions(text) if mention.value != 0)


def category(phrase: str) -> str:
    """The category of a phrase: the label that it names, or, naming none or several, itself."""
    labels = named(phrase)
    return next(iter(labels)) if len(labels) == 1 else phrase.lower()
