"""Prints text without the control characters that data may contain.

Ids, file names and model names come from data, and may hold sequences that move the cursor of a
terminal or change its title. Everything that imaxray prints goes through :func:`printable`.
"""

from __future__ import annotations

import re
import warnings
from typing import Final, TextIO

_UNPRINTABLE: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return ``text`` with ``?`` for control characters and for marks that reverse its direction.

    Example:
        >>> printable("a\x1b[2Jb")
        'a?[2Jb'
    """
    return _UNPRINTABLE.sub("?", text)


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun.

    Args:
        number: The number.
        one: Noun of a single thing.
        many: Noun of several; default: ``one`` with an s.

    Example:
        >>> counted(1, "entry", "entries"), counted(1200, "step")
        ('1 entry', '1,200 steps')
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def say(text: object, *, end: str = "\n", file: TextIO | None = None) -> None:
    """Print text to stdout, or to ``file``, without control characters."""
    print(printable(str(text)), end=end, file=file)


def warn_in_sentences(on: bool = True) -> None:
    """Let Python print a warning of imaxray as its sentence, without the place in the code.

    The command line and its worker processes turn this on. Other libraries' warnings keep their
    kind and place, because their texts alone often say too little.
    """
    warnings.formatwarning = _sentence if on else _WITH_PLACE


def warns_in_sentences() -> bool:
    """Return whether :func:`warn_in_sentences` is on, which worker processes then are told."""
    return warnings.formatwarning is _sentence


_WITH_PLACE: Final = warnings.formatwarning


def _sentence(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,  # noqa: ARG001 - the line of code says nothing to a user
) -> str:
    if category is UserWarning:
        return f"Warning: {printable(str(message))}\n"
    return printable(_WITH_PLACE(message, category, filename, lineno, ""))
