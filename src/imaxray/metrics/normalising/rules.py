"""Lists the rules by which texts are made comparable, in the order in which they are applied."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal

from imaxray.metrics.normalising.dates import dates
from imaxray.metrics.normalising.numbers import fractions, number_words, ordinals, roman_numerals
from imaxray.metrics.normalising.quantities import bounds, quantities, ranges, signs
from imaxray.metrics.normalising.squad import squad
from imaxray.metrics.normalising.words import (
    abbreviations,
    articles,
    british_spellings,
    characters,
    compounds,
    hyphens,
    option_letters,
    plurals,
    possessives,
    punctuation,
)

Normalisation = Literal["radiology", "squad"]
"""Name of a way to make texts comparable."""

AnswerType = Literal["closed", "open"]
"""Whether an answer is one of several options, or free text such as a phrase."""

NORMALISATION: Final[Normalisation] = "radiology"
"""Normalisation that is used if none is named."""

RULES: Final[dict[str, Callable[[str], str]]] = {
    "characters": characters,
    "option letters": option_letters,
    "fractions": fractions,
    "ordinals": ordinals,
    "number words": number_words,
    "dates": dates,
    "Roman numerals": roman_numerals,
    "signs": signs,
    "bounds": bounds,
    "ranges": ranges,
    "quantities": quantities,
    "abbreviations": abbreviations,
    "possessives": possessives,
    "hyphens": hyphens,
    "punctuation": punctuation,
    "compounds": compounds,
    "British spellings": british_spellings,
    "plurals": plurals,
    "articles": articles,
}
"""Name of a rule → function that applies it; docs/normalisation.md explains each."""

CLOSED_ONLY: Final = frozenset({"option letters"})
"""Rules that are applied to closed answers only."""

_ROUNDS: Final = 12  # one or two are enough for text; more for contrived chains of prefixes


@lru_cache(maxsize=100_000)
def normalise(
    text: str, answer_type: AnswerType = "open", normalisation: Normalisation = NORMALISATION
) -> str:
    """Return a text in the form in which answers are compared.

    The rules of ``radiology`` are applied until nothing changes, so a normalised text is its own
    normal form. ``squad`` is SQuAD's plain rule for all types of answers.

    Args:
        text: Text to normalise.
        answer_type: Type of the answer; a closed answer may be the letter of an option.
        normalisation: Name of the rules.

    Example:
        >>> normalise("A right-sided, 1.5 cm nodule"), normalise("right sided nodule of 15 mm")
        ('right sided 15mm nodule', 'right sided nodule of 15mm')
        >>> normalise("(A)", "closed"), normalise("1.5 cm", normalisation="squad")
        ('a', '15 cm')
    """
    if normalisation == "squad":
        return squad(text)
    for _ in range(_ROUNDS):
        before = text
        for name, rule in RULES.items():
            if answer_type == "closed" or name not in CLOSED_ONLY:
                text = rule(text)
        if text == before:
            break
    return text
