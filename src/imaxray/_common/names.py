"""Finds the name that a user most likely meant, for every message about an unknown name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Final

from imaxray.errors import ImaxrayError

_FEW: Final = 12
"""Highest number of known names that a message lists."""

_LONGEST: Final = 40
_WORDS: Final = 5
_DATA: Final = re.compile(
    r"^\s*[-+]?\d[\d.,:/-]*\s*$|[.;?!](?:\s|$)|,\s|\.(?:png|jpe?g|dcm|dicom|tiff?)$", re.IGNORECASE
)
"""A number or a date, the end of a sentence, a list, or the name of an image."""

_MOST_SHOWN: Final = 400
"""Number of characters of a header that a message shows."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``name`` most likely misspells, or ``None``.

    Example:
        >>> nearest("phantm", ["phantom", "mimic"]), nearest("REC", ["rec", "reg"])
        ('phantom', 'rec')
    """
    found = near(name, known, most=1, cutoff=0.6)
    return found[0] if found else None


def near(name: str, known: Iterable[str], *, most: int = 3, cutoff: float = 0.4) -> list[str]:
    """Return the known names that are most like ``name``, the nearest first; case does not count.

    Args:
        name: What the user wrote.
        known: Names that there are.
        most: Highest number of names.
        cutoff: Likeness in [0, 1] that a name must have.
    """
    spelled: dict[str, str] = {}
    for one in known:
        spelled.setdefault(one.lower(), one)
    found = difflib.get_close_matches(name.lower(), list(spelled), n=most, cutoff=cutoff)
    return [spelled[one] for one in found]


def columns_shown(names: Sequence[str]) -> str:
    """Return the columns of a table for an error message.

    The first row of a table without a header is one of its data: a report or an answer, which no
    message may show. So the names are shown only if none of them looks like data: a number, a text
    of more than five words or forty characters, or one with a sentence's punctuation.

    Args:
        names: Cells of the first row.

    Example:
        >>> columns_shown(["image", "patient id"])
        'image, patient id'
        >>> columns_shown(["a.png", "The heart is enlarged."])
        '2 cells that do not look like names of columns (is there a header?)'
    """
    if not names:
        return "none"
    if any(len(name) > _LONGEST or len(name.split()) > _WORDS or _DATA.search(name)
           for name in names):  # fmt: skip
        cells = "1 cell that does" if len(names) == 1 else f"{len(names)} cells that do"
        return f"{cells} not look like names of columns (is there a header?)"
    line = "".join(c if c.isprintable() else "?" for c in ", ".join(names))
    return line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]} …"


def require_known(name: str, known: Iterable[str], what: str) -> None:
    """Check that there is something of a name.

    Args:
        name: What the user wrote.
        known: Names that there are.
        what: What the names are of, such as ``a split``.

    Raises:
        ImaxrayError: If there is nothing of this name; the sentence states the nearest name.

    Example:
        >>> require_known("test", ("train", "val", "test"), "a split")
    """
    names = list(known)
    if name in names:
        return
    best = nearest(name, names)
    raise ImaxrayError(
        f"Expected {what}, one of {', '.join(names)}, but got {name}; "
        f"{'name one of these.' if best is None else f'did you mean {best}?'}"
    )


def did_you_mean(name: str, known: Iterable[str], *, listed_by: str = "") -> str:
    """Return the end of a message about an unknown name.

    Args:
        name: What the user wrote.
        known: Names that there are.
        listed_by: Command that lists the names, for messages that would be too long.

    Example:
        >>> did_you_mean("gradng", ["grading", "vqa"])
        'did you mean grading?'
        >>> did_you_mean("x", ["grading", "vqa"])
        'the known names are grading, vqa.'
    """
    names = list(known)
    best = nearest(name, names)
    if best is not None:
        return f"did you mean {best}?"
    if listed_by and len(names) > _FEW:
        return f"`{listed_by}` lists the known names."
    return f"the known names are {', '.join(names)}."
