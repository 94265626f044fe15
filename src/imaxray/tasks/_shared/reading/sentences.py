"""Asks the labeller what sentences say, also about findings that are no CheXpert labels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from imaxray.labeller import mentions

_CARRIERS: Final = (
    ("Pneumonia", "pneumonia"),
    ("Pneumothorax", "pneumothorax"),
    ("Fracture", "fracture"),
    ("Atelectasis", "atelectasis"),
)
"""Labels and phrases of which one takes the place of a word that the labeller does not know."""

_NEUTRAL: Final = "adenopathy"  # a finding without a label
_FURTHER: Final = {
    "Emphysema": r"(?<!subcutaneous )(?<!soft tissue )emphysem\w+(?: changes?)?",
    "Fibrosis": r"fibrosis|fibrotic(?: changes?| scarring)?",
    "Hernia": r"hernias?|herniation",
    "Infiltration": r"infiltrat(?:es?|ions?)",
    "Mass": r"mass(?:es)?",
    "Nodule": r"nodules?",
    "Pleural Thickening": r"pleural[- ]thickening",
}
_ALL_FURTHER: Final = re.compile(
    "|".join(rf"(?P<f{k}>\b(?:{text})\b)" for k, text in enumerate(_FURTHER.values()))
)
_OF_LUNG: Final = re.compile(r"\b(?:lung|pulmonary|calcified|solid|spiculated)\s+$")
_STRENGTH: Final = (1, -1, 0)


_NOT_SEEN: Final = re.compile(
    r"\b(?:i|we|you)\s?(?:can ?not|can't|cannot|do not|don't|did not|didn't|could not|couldn't"
    r"|(?:am|'m|are"
    r"|'re) (?:unable|not able) to) (?:clearly |really |actually |definitely )?(?:see|identify"
    r"|detect"
    r"|find|appreciate|observe|visuali[sz]e|discern|note)\b(?! or\b)(?: any| an?\b)?",
    re.IGNORECASE,
)


def in_third_person(text: str) -> str:
    """Write "I do not see" as "there is no", which the labeller reads in every report.

    Example:
        >>> in_third_person("I cannot see a nodule.")
        'there is no nodule.'
    """
    return _NOT_SEEN.sub("there is no", text.replace("’", "'"))


def strongest(values: Iterable[int]) -> int | None:
    """Return 1 if any value is 1, else -1 if any is -1, else 0; ``None`` without values."""
    said = set(values)
    return next((value for value in _STRENGTH if value in said), None)


@lru_cache(maxsize=100_000)
def affirmed(text: str, start: int, end: int) -> int | None:
    """Return whether a text affirms (1), denies (0) or doubts (-1) what its words name.

    The labeller decides it: a phrase that it knows takes the place of the words, so that words of
    any kind are denied by the same rules.

    Args:
        text: One sentence or several.
        start: Position of the first character of the words.
        end: Position after the last character of the words.

    Example:
        >>> text = "there is no hiatal hernia"
        >>> affirmed(text, text.find("hernia"), len(text))
        0
    """
    label, phrase = next(
        ((label, phrase) for label, phrase in _CARRIERS if phrase not in text.lower()),
        _CARRIERS[0],
    )
    changed = f"{text[:start]}{phrase}{text[end:]}"
    return strongest(found.value for found in mentions(changed) if found.label == label)


@lru_cache(maxsize=100_000)
def labels_said(text: str) -> dict[str, int]:
    """Return the labels of ``FINDINGS`` that sentences affirm, deny or doubt, as 1, 0 or -1.

    A word that is itself a label (``mass``) gives this label and no other one; ``lung mass`` gives
    ``Lung Lesion`` too.

    Example:
        >>> labels_said("There is a hernia. No effusion.")
        {'Hernia': 1, 'Pleural Effusion': 0}
    """
    text = " ".join(text.lower().replace("\n", " \n ").split(" "))
    names = tuple(_FURTHER)
    further: dict[str, list[int]] = {}
    bare = text
    for match in reversed(list(_ALL_FURTHER.finditer(text))):
        label = names[int(str(match.lastgroup)[1:])]
        value = affirmed(text, match.start(), match.end())
        if value is not None:
            further.setdefault(label, []).append(value)
        if not _OF_LUNG.search(text[: match.start()]):
            bare = f"{bare[: match.start()]}{_NEUTRAL}{bare[match.end() :]}"
    said: dict[str, list[int]] = {}
    for found in mentions(bare):
        said.setdefault(found.label, []).append(found.value)
    result: dict[str, int] = {}
    for label, values in sorted({**said, **further}.items()):
        value = strongest(values)
        if value is not None:
            result[label] = value
    return result
