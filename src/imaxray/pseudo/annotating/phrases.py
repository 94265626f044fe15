"""Chooses phrases for REC prompts from what is said about an image, worded as in train entries."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from imaxray.labeller import mentions

_SENTENCE: Final = re.compile(r"(?<=[.;])\s+|\n+")
_WORD: Final = re.compile(r"[a-z]+")
_SIDES: Final = {
    "left": "left", "right": "right", "bilateral": "both", "bilaterally": "both", "both": "both",
}  # fmt: skip
_LIGHT: Final = frozenset(
    (
        "a",
        "an",
        "and",
        "at",
        "in",
        "is",
        "of",
        "on",
        "the",
        "there",
        "not",
        "otherwise",
        "specified",
    )
)
_NOT_PLACED: Final = ("No Finding",)


@dataclass(frozen=True)
class Said:
    """One finding that a text or label states as present.

    Attributes:
        label: CheXpert label of the finding.
        sides: Sides of the patient that the sentence names: ``left``, ``right`` or ``both``.
        words: All words of the sentence, in lower case.
    """

    label: str
    sides: frozenset[str]
    words: frozenset[str]


def said_in_report(text: str) -> Iterator[Said]:
    """Yield what a report affirms, sentence by sentence, in the order of the report."""
    for sentence in _SENTENCE.split(text):
        words = frozenset(_WORD.findall(sentence.lower()))
        for mention in mentions(sentence):
            if mention.value == 1 and mention.label not in _NOT_PLACED:
                sides = frozenset((mention.side,)) if mention.side else frozenset[str]()
                yield Said(mention.label, sides, words)


def said_by_labels(labels: Iterable[str]) -> Iterator[Said]:
    """Yield labels as findings without a side."""
    for label in labels:
        if label not in _NOT_PLACED:
            yield Said(label, frozenset(), frozenset(_WORD.findall(label.lower())))


class Phrases:
    """The phrases by which train entries name the findings of each label.

    Args:
        counts: Phrase in lower case → number of train entries of REC and REG that name it.
    """

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._by_label: dict[str, list[tuple[str, int]]] = {}
        for phrase, count in sorted(counts.items()):
            for label in sorted(labels_of(phrase)):
                self._by_label.setdefault(label, []).append((phrase, count))

    def for_said(self, said: Said) -> str | None:
        """Return the phrase of the train entries that adds least to what was said.

        Phrases of the label that name a side that was not said are excluded. Of the others, the
        phrase with the fewest words that were not said is chosen; if several have equally few, the
        most frequent one.

        Returns:
            The name of the label if no phrase is left; ``None`` if train entries locate other
            labels but never this one (edema, for example, has no single place).
        """
        if self._by_label and said.label not in self._by_label:
            return None
        allowed = [
            (len(_content(phrase) - said.words), -count, phrase)
            for phrase, count in self._by_label.get(said.label, [])
            if _sides(phrase) <= said.sides
        ]
        return min(allowed)[2] if allowed else said.label.lower()

    def for_all(self, things: Iterable[Said]) -> list[str]:
        """Return the distinct phrases of several findings.

        A finding without a side is left out if its label came before. Findings of one label with
        sides are all kept, because they may be in different places.
        """
        found: dict[str, None] = {}
        placed: set[str] = set()
        for said in things:
            if not said.sides and said.label in placed:
                continue
            placed.add(said.label)
            if phrase := self.for_said(said):
                found.setdefault(phrase)
        return list(found)


def labels_of(phrase: str) -> frozenset[str]:
    """Return the CheXpert labels that a phrase names as present or uncertain."""
    return frozenset(m.label for m in mentions(phrase) if m.value != 0) - {*_NOT_PLACED}


def count_phrases(phrases: Iterable[str]) -> Mapping[str, int]:
    """Count the phrases, in lower case."""
    return Counter(phrase.lower() for phrase in phrases)


def _content(phrase: str) -> frozenset[str]:
    return frozenset(_WORD.findall(phrase)) - _LIGHT


def _sides(phrase: str) -> frozenset[str]:
    return frozenset(_SIDES[word] for word in _WORD.findall(phrase) if word in _SIDES)
