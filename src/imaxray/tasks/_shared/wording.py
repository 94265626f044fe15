"""Finds words in a text, the sides and labels that a phrase names, and what a question asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from imaxray.boxes import PLACEHOLDER
from imaxray.labeller import mentions

_WORD: Final = re.compile(r"\w+(?:[.'-]\w+)*")
_SIDES: Final = {
    "left": "left", "right": "right", "bilateral": "both", "bilaterally": "both", "both": "both",
    "bibasilar": "both", "biapical": "both",
}  # fmt: skip
_WIDER: Final = re.compile(
    r"(?:cardiac silhouette|heart)\b.* (?:wider|larger|greater) than (?:1/2|half)\b.*"
    r"(?:\bthora|\bchest)",
    re.IGNORECASE,
)
_NOT: Final = re.compile(r"\b(?:not?|cannot|never)\b|n't\b", re.IGNORECASE)
_SET_ASIDE: Final = re.compile(
    r"\b(?:not?|cannot|absent|without|exclud\w+|resolv\w+|ruled|lacks?|lacking|prior|previous\w*"
    r"|earlier|missing|unlikely|possibl[ey]|could|might|except|than|old|new|changed?)\b|n't\b",
    re.IGNORECASE,
)
_NOWHERE: Final = frozenset({"none", "no", "nowhere", ""})
_NO_PLACE: Final = re.compile(
    r"\b(?:no|not|none|nowhere|without|absent|neither|never|cannot|unable|unknown|unclear|uncertain"
    r"|undetermined|indeterminate|n/?a|applicable|possibl[ey]|probabl[ey]|likely|may|might|could"
    r"|normal|if|except)\b|n't\b|\?",
    re.IGNORECASE,
)


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


def asks_for_width(question: str) -> bool:
    """Return whether a question asks if the heart is wider than half of the chest.

    Example:
        >>> asks_for_width("Is the cardiac silhouette wider than half of the thorax?")
        True
        >>> asks_for_width("Is the cardiac silhouette no wider than half of the thorax?")
        False
    """
    return _WIDER.search(question) is not None and _NOT.search(question) is None


def sets_aside(question: str) -> bool:
    """Return whether a question asks for what an image does not show, or for what has changed.

    Example:
        >>> sets_aside("What abnormalities are not seen in this image?")
        True
    """
    return _SET_ASIDE.search(question) is not None


def is_nowhere(answers: Sequence[str]) -> bool | None:
    """Return whether the answers to where something is say that it is nowhere.

    Returns:
        ``None`` if they neither say so nor plainly name a place.

    Example:
        >>> is_nowhere(["none"]), is_nowhere(["left lung"]), is_nowhere(["not visible"])
        (True, False, None)
    """
    texts = {" ".join(answer.lower().split()).rstrip(".") for answer in answers}
    if texts <= _NOWHERE:
        return True
    return None if any(not text or _NO_PLACE.search(text) for text in texts) else False
