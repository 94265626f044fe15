"""From what is said of an image to phrases that REC asks for, as the train entries word them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """One thing said to be present.

    Attributes:
        label: one of CheXpert's.
        sides: the patient's sides that the sentence names.
        words: all words of the sentence.
    """

    label: str
    sides: frozenset[str]
    words: frozenset[str]


def said_in_report(text: str) -> Iterator[Said]:
    """What a report affirms, sentence by sentence, in its order."""
    for sentence in _SENTENCE.split(text):
        words = frozenset(_WORD.findall(sentence.lower()))
        for mention in mentions(sentence):
            if mention.value == 1 and mention.label not in _NOT_PLACED:
                sides = frozenset((mention.side,)) if mention.side else frozenset[str]()
                yield Said(mention.label, sides, words)


def said_by_labels(labels: Iterable[str]) -> Iterator[Said]:
    """Labels as things said: without a side."""
    for label in labels:
        if label not in _NOT_PLACED:
            yield Said(label, frozenset(), frozenset(_WORD.findall(label.lower())))


class Phrases:
    """How the train entries name what a label means.

    Args:
        counts: phrase, in lower case, → how many train entries of REC and REG name it.
    """

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._by_label: dict[str, list[tuple[str, int]]] = {}
        for phrase, count in sorted(counts.items()):
            for label in sorted(labels_of(phrase)):
                self._by_label.setdefault(label, []).append((phrase, count))

    def for_said(self, said: Said) -> str | None:
        """The train entries' phrase that claims least beyond what was said.

        Of the phrases of the label, such that name a side that was not said are out; the one with
        the fewest words that were not said is taken, of these the most frequent. Where none is
        left, the label's own name; ``None`` for a label that the train entries never locate
        (edema has no one place), unless they locate none.
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
        """Phrases of several things, each once; a label that came with words comes no second time.

        Things of one label that were said of different places are different.
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
    """CheXpert labels that a phrase names as present or doubtful."""
    return frozenset(m.label for m in mentions(phrase) if m.value != 0) - {*_NOT_PLACED}


def count_phrases(phrases: Iterable[str]) -> Mapping[str, int]:
    """How often each comes, in lower case."""
    return Counter(phrase.lower() for phrase in phrases)


def _content(phrase: str) -> frozenset[str]:
    return frozenset(_WORD.findall(phrase)) - _LIGHT


def _sides(phrase: str) -> frozenset[str]:
    return frozenset(_SIDES[word] for word in _WORD.findall(phrase) if word in _SIDES)


def first_some(groups: Sequence[tuple[str, Sequence[str]]], most: int) -> list[tuple[str, str]]:
    """At most so many different items of groups in turn, each with its group's name."""
    found: dict[str, str] = {}
    for name, items in groups:
        for item in items:
            if len(found) < most:
                found.setdefault(item, name)
    return [(name, item) for item, name in found.items()]
