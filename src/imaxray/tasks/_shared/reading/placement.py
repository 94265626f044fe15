"""Reads answers to questions whether a tube or a line lies where it should."""

from __future__ import annotations

import re
from typing import Final

_GOOD: Final = (
    r"(?:satisfactor(?:y|ily)|appropriate(?:ly)?|adequate(?:ly)?|correct(?:ly)?|good|proper(?:ly)?"
    r"|acceptabl[ey]|ideal(?:ly)?|standard|expected|well)"
)
_ASKS: Final = re.compile(
    rf"\b{_GOOD}\b[^?]{{0,20}}\b(?:position\w*|placed?|location|placement|sited)\b"
)
_MISPLACED: Final = re.compile(
    r"\b(?:should|needs? to|must|recommend\w*) be (?:withdrawn|advanced|repositioned|retracted"
    r"|pulled|replaced|adjusted)"
    r"|\b(?:withdraw\w*|advanc\w+|repositioning|retraction)\b[^.]*\b(?:recommended|advised"
    r"|suggested|needed)"
    r"|\b(?:right|left) main(?:stem)?(?: bronchus)?\b|\bmal-?position\w*|\bmis-?placed"
    rf"|\btoo (?:deep|low|high|far)|\bnot (?:in )?(?:an? )?{_GOOD}|\b(?:kinked|coiled|looped)\b"
)
_WELL: Final = re.compile(
    r"\babove the carina|\b(?:in|at|over|within) the (?:svc|superior vena cava|cavoatrial junction"
    r"|stomach|mid (?:svc|trachea))|\bas expected"
    rf"|\b{_GOOD}[ -]?(?:position|place)\w*"
)


def asks_placement(asked: str) -> bool:
    """Return whether a question asks if something lies where it should.

    Example:
        >>> asks_placement("is the tube in a satisfactory position")
        True
    """
    return _ASKS.search(asked) is not None


def is_well_placed(text: str) -> bool | None:
    """Return whether an answer, in lower case, says that it lies well; None if it says neither.

    Example:
        >>> is_well_placed("the tip is in the right main bronchus.")
        False
    """
    if _MISPLACED.search(text):
        return False
    return True if _WELL.search(text) else None
