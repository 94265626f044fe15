"""Finds words in a text, and the sides and labels that a phrase names."""

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
    """Return the words of a text; ``0.52``, ``x-ray`` and ``patient's`` are one word each."""
    return _WORD.findall(text)


def holds(text: str, phrase: str) -> bool:
    """Return whether a text contains the words of a phrase one after another, in any case.

    No text contains a phrase that has no words or only placeholders for boxes.
    """
    words = " ".join(words_of(phrase.replace(PLACEHOLDER, " ").lower()))
    return bool(words) and f" {words} " in f" {' '.join(words_of(text.lower()))} "


def sides(text: str) -> frozenset[str]:
    """Return the patient's sides that a phrase names; ``bilateral`` means left and right."""
    found = {_SIDES[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _SIDES}
    return frozenset({"left", "right"} if "both" in found else found)


@lru_cache(maxsize=100_000)
def named(text: str) -> frozenset[str]:
    """Return the labels that a phrase names and does not deny."""
    return frozenset(mention.label for mention in mentions(text) if mention.value != 0)


def category(phrase: str) -> str:
    """Return the one label that a phrase names; if it names none or several, the phrase itself."""
    labels = named(phrase)
    return next(iter(labels)) if len(labels) == 1 else phrase.lower()
