"""Reads what a report states of its image as a whole."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from imaxray.labeller.places import Side
from imaxray.labeller.reading import label_report, mentions

_NO_FINDING: Final = "No Finding"
_PROCEDURE: Final = (
    r"(?:lob|pneumon|segment|bilob|metastas)ectom(?:y|ies)|(?:wedge )?resections?|excisions?"
    r"|surgery|thoracotomy|thoracentesis|pleurodesis|decortication|radiation(?: therapy)?"
    r"|radiotherapy|chemotherapy|treatment|therapy"
)
_NOT_SHOWN: Final = re.compile(
    rf"(?P<what>\b(?:{_PROCEDURE}) )(?:for|of)\b[^,.;:\n]*?"
    r"(?=[,.;:\n]|$|\b(?:with|and|now|but|is|are|was|were|has|have|there|seen|noted|without|no)\b)"
    r"|(?P<like>\b(?:mimic\w*|simulat\w+|resembl\w+) )[^,.;:\n]*?"
    r"(?=[,.;:\n]|$|\b(?:with|and|but)\b)",
    re.IGNORECASE,
)
"""What a procedure was for, and what something only looks like, is not on the image: "lobectomy for
lung cancer", "skin fold mimicking a pneumothorax"."""
_NORMAL: Final = re.compile(
    r"\b(?:normal|unremarkable|clear|negative|within (?:normal )?limits"
    r"|no (?:\w+ ){0,3}(?:abnormalit|process|disease|findings?|pathology))\w*\b",
    re.IGNORECASE,
)


def shown(text: str) -> str:
    """Return a report without what a procedure was for and what something only looks like.

    Example:
        >>> shown("Lobectomy for lung cancer. Skin fold mimicking a pneumothorax.")
        'Lobectomy . Skin fold mimicking .'
    """
    return _NOT_SHOWN.sub(lambda match: match["what"] or match["like"], text)


@lru_cache(maxsize=20_000)
def image_labels(text: str) -> dict[str, int]:
    """Return the labels that a report states of the whole image (1, 0, and −1 for uncertain).

    They differ from :func:`imaxray.labeller.label_report`, which follows CheXpert, in two ways.
    What is denied on one side may be on the other one, so it is unknown. A report that mentions no
    label and calls nothing normal ("unchanged", "as above") does not say that there is no finding.

    Example:
        >>> image_labels("Unchanged."), image_labels("No left effusion. The heart is normal.")
        ({}, {'Cardiomegaly': 0, 'No Finding': 1})
    """
    said: dict[str, set[Side | None]] = {}
    for mention in mentions(text):
        if mention.value == 0:
            said.setdefault(mention.label, set()).add(mention.side)
    one_sided = {label for label, sides in said.items() if sides in ({"left"}, {"right"})}
    labels = {
        label: value
        for label, value in label_report(text).items()
        if value != 0 or label not in one_sided
    }
    if labels.keys() == {_NO_FINDING} and not _NORMAL.search(text):
        labels.pop(_NO_FINDING, None)
    return labels
