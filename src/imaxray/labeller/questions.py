"""Recognises questions about the presence of one label."""

from __future__ import annotations

import re
from typing import Final

from imaxray.labeller.phrases import PLAIN

_ASKS: Final = re.compile(r"^(?:is|are|does|do|can|has|have)\b")
_NEUTRAL: Final = re.compile(
    r"is|are|does|do|can|has|have|there|any|an?|the|this|these|of|in|on|to|evidence|signs?|image"
    r"|x-?ray|radiograph|cxr|film|scan|chest|picture|present|seen|visible|show(?:s|n|ing)?"
    r"|demonstrate|you|see|patient|it|indicate"
)
_PLACE: Final = re.compile(
    r"left|right|lungs?|both|bilateral|upper|middle|lower|lobes?|zones?|bases?|apex|apices"
    r"|hemithorax|sided?|pleural|space|small|large|mild|moderate|severe"
)
_NARROW: Final = re.compile(r"\b(?:interstitial|alveolar|rib|clavic\w+|mass(?:es)?)\b")
"""Words for one kind of a finding: "no" to a rib fracture leaves room for another fracture."""
_POINTS: Final = re.compile(
    r"^(?:is|are) (?:it|they|(?:this|these)(?! (?:an? )?(?:image|x-ray|xray|radiograph|cxr|film"
    r"|scan|picture|chest|patient)\b))\b"
)
"""Questions about something that is pointed at: "no" to "is this a nodule?" denies no nodule."""


def asked(question: str) -> tuple[str, bool] | None:
    """Return the label whose presence a yes/no question asks for, and whether in the whole image.

    The result is ``None`` if the question asks for anything else or names several labels. Only
    plain phrases count.

    Example:
        >>> asked("Is there a pleural effusion?")
        ('Pleural Effusion', True)
        >>> asked("Is the effusion new?") is None
        True
    """
    text = " ".join(re.findall(r"[a-z]+(?:-[a-z]+)*", question.lower()))
    if not _ASKS.search(text):
        return None
    named = {label: match for label, mention in PLAIN.items() if (match := mention.search(text))}
    if len(named) != 1:
        return None
    label, match = next(iter(named.items()))
    if "not" in match.group().split():  # "yes" to "the heart is not enlarged" denies it
        return None
    words = f"{text[: match.start()]} {text[match.end() :]}".split()
    rest = [word for word in words if not _NEUTRAL.fullmatch(word)]
    # any other word makes it another question: "is the effusion new?"
    if not all(_PLACE.fullmatch(word) for word in rest):
        return None
    part = rest or _NARROW.search(match.group()) or _POINTS.search(text)
    return label, not part
