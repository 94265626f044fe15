"""Resolves answers by letter, such as ``(B)``, where the prompt lists options."""

from __future__ import annotations

import re
from typing import Final

from imaxray.tasks._shared.reading.sentences import affirmed

_OPTION: Final = re.compile(
    r"(?:^|(?<=[\s,;:?]))\(?(?P<letter>[A-Ha-h1-8])\s*[.):]\s*(?P<text>.+?)"
    r"(?=\s*[,;]?\s+\(?[A-Ha-h1-8]\s*[.):]\s|\s*\n|\s*[,;]\s*\(?[A-Ha-h1-8]\s*[.):]|$)"
)
_LETTERS: Final = re.compile(
    r"^\W*(?:(?:option|choice|answer|letter)\s*:?\s*)?\(?(?P<letter>[a-h1-8])(?:\s*[.):,–-]+\s*(?P<text>.*)"
    r"|\s*$|\s+(?:is\b(?! (?:wrong|incorrect|not|unlikely|excluded|out|ruled))|because|since)\b.*)",
    re.IGNORECASE | re.DOTALL,
)
_CONCLUDED: Final = re.compile(
    r"\b(?:therefore|thus|so|hence|overall|in conclusion)\s*[:,]?\s*\(?([A-H])\)?[\W_]*$",
    re.IGNORECASE,
)
_INSIDE: Final = re.compile(
    r"(?i:\b(?:option|choice|answer|leaves|choose|pick|select|go with|going with|would be"
    r"|must be|is|so|hence|thus|therefore|→))\s*[,:]?"
    r"\s*(?i:(?:option|is)\s*)?\(?([A-H])\b(?=\)|\W*$|\s*[.,:;])|\(([A-H])\)"
    r"|\b([A-H])(?= (?:is|seems|looks|must be) (?:the )?(?:right|correct|best|most likely))"
)


_PICKED: Final = re.compile(
    r"\bi(?:'d| would|'ll| will)? (?:choose|pick|select|go with) (?:option |answer )?\(?([A-H])\b",
    re.IGNORECASE,
)


def options_of(prompt: str) -> dict[str, str]:
    """Return letter → text of the options that a prompt lists; empty if it lists none.

    Example:
        >>> options_of("Which view is it? A. PA B. AP C. Lateral")
        {'A': 'PA', 'B': 'AP', 'C': 'Lateral'}
    """
    options: dict[str, str] = {}
    for match in _OPTION.finditer(prompt):
        letter = match.group("letter").upper()
        place = len(options)
        row = "12345678" if next(iter(options), letter).isdigit() else "ABCDEFGH"
        if letter != row[place : place + 1]:
            continue
        text = re.sub(r"\s*\bAnswer\b.*$", "", match.group("text"))
        options[letter] = text.strip(" \t\r\n,;.")
    return options if len(options) > 1 else {}


def choice(answer: str, options: dict[str, str]) -> str | None:
    """Return the text of the option that an answer names by letter or by its words.

    Returns:
        ``None`` if it names none, several, or a letter with the words of another option.

    Example:
        >>> choice("(B)", {"A": "left", "B": "right"})
        'right'
        >>> choice("B. left", {"A": "left", "B": "right"}) is None
        True
    """
    concluded = _CONCLUDED.search(answer)
    if concluded is not None and concluded.group(1).upper() in options:
        return options[concluded.group(1).upper()]
    bare = answer.strip(" \t\r\n\"'`*.")
    whole = [text for text in options.values() if _words(text) == _words(bare)]
    if len(whole) == 1:
        return whole[0]
    found = _LETTERS.match(bare)
    named = found.group("letter").upper() if found else None
    if named is None:
        picked = {letter.upper() for letter in _PICKED.findall(answer)}
        inside = picked or {"".join(found) for found in _INSIDE.findall(answer)}
        named = inside.pop() if len(inside) == 1 else None
        if inside:
            return None
    last = [part for part in re.split(r"[.!?\n]+(?:\s|$)", answer) if part.strip()][-1:] or [answer]
    texts = {
        letter for letter, text in options.items() if _holds(answer, text) and _meant(last[0], text)
    }
    texts = {
        one for one in texts
        if not any(one != other and _holds(options[other], options[one]) for other in texts)
    }  # fmt: skip
    if named is not None:
        said = (found.group("text") or "") if found else ""
        first = re.split(r"[.\n;]", said)[0]
        clash = {letter for letter, text in options.items() if _holds(first, text)}
        if named not in options or (clash and named not in clash):
            return None
        return options[named]
    return options[texts.pop()] if len(texts) == 1 else None


def _meant(sentence: str, phrase: str) -> bool:
    """Return whether a sentence holds a phrase and does not deny it."""
    low = sentence.lower()
    start = low.find(phrase.lower())
    return start >= 0 and affirmed(low, start, start + len(phrase)) != 0


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _holds(text: str, phrase: str) -> bool:
    words = " ".join(_words(phrase))
    return bool(words) and f" {words} " in f" {' '.join(_words(text))} "
