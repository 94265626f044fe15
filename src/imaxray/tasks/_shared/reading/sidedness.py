"""Reads the side, left or right, that an answer speaks of."""

from __future__ import annotations

import re
from typing import Final

from imaxray.tasks._shared.wording import sides

_EXCEPT: Final = re.compile(r"\b(?:except|apart from|other than|aside from|save for|but|however)\b")
_SIDE_IS_CLEAR: Final = re.compile(
    r"\b(?:left|right)"
    r"(?: (?:side|lung|hemithorax|chest|base|apex|costophrenic angle|pleural space))?"
    r" (?:is|appears|looks|remains) (?:clear|normal|unremarkable|spared|free|fine)\b"
)
_ONE_SIDED: Final = re.compile(
    r"\bonly (?:(?:in|on|at) )?(?:the )?(?:left|right)\b|\b(?:left|right)[- ]?(?:side[d]?)? only\b"
    r"|\bunilateral"
)


def is_one_sided(text: str) -> bool:
    """Return whether a text speaks of one side only.

    Example:
        >>> is_one_sided("it is on the left only")
        True
    """
    return _ONE_SIDED.search(text) is not None


def says_side_is_clear(text: str) -> bool:
    """Return whether a text calls a side clear, without an exception.

    Example:
        >>> says_side_is_clear("the right side is clear")
        True
        >>> says_side_is_clear("the right lung is clear except for a nodule")
        False
    """
    return _SIDE_IS_CLEAR.search(text) is not None and not _EXCEPT.search(text)


def of_the_side(text: str, asked: str) -> str:
    """Leave out sentences about the other side than the one that is asked for, if others stay.

    Example:
        >>> of_the_side("A left effusion. The right lung is clear.", "is the right lung clear")
        'The right lung is clear.'
    """
    wanted = sides(asked)
    if len(wanted) != 1:
        return text
    parts = re.split(r"(?<=[.;])\s+", text)
    kept = [part for part in parts if not sides(part) or sides(part) & wanted]
    return " ".join(kept) if kept else text


def is_elsewhere(text: str, asked: str) -> bool:
    """Return whether a text names another side than the one that is asked for.

    Example:
        >>> is_elsewhere("a left effusion", "is there a right effusion")
        True
    """
    wanted, given = sides(asked), sides(text)
    return bool(wanted and given and not wanted & given)
