"""Collects the rows that cannot be read while a source reads its release.

The parsers of tables and of JSON (:func:`imaxray.sources.read_csv` and others) leave such rows out
and note them here. The base class of all sources opens a reading around every method of a source,
and turns the notes into rejects. So no reader, and no source of another package, can lose a row by
forgetting to ask for it.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from imaxray.errors import ImaxrayError

DEFAULT_ENCODING: Final = "utf-8"

Fault = tuple[int, str, str]
"""Number of a row (from 1), code and message of its reject."""


@dataclass
class Reading:
    """Holds what was noted while a source reads.

    Attributes:
        encoding: Encoding of the texts of the release.
        rows: Number of all rows of each file that was read, sound or not.
        faults: Rows of each file that cannot be read.
    """

    encoding: str = DEFAULT_ENCODING
    rows: dict[Path, int] = field(default_factory=dict)
    faults: dict[Path, list[Fault]] = field(default_factory=dict)


_CURRENT: ContextVar[Reading | None] = ContextVar("reading", default=None)


@contextmanager
def reading(encoding: str) -> Iterator[Reading]:
    """Open a reading for the block, in which :func:`note` collects faults."""
    opened = Reading(encoding)
    token = _CURRENT.set(opened)
    try:
        yield opened
    finally:
        _CURRENT.reset(token)


def is_reading() -> bool:
    """Return whether a reading is open."""
    return _CURRENT.get() is not None


def current_encoding() -> str:
    """Return the encoding of the release that is being read."""
    opened = _CURRENT.get()
    return DEFAULT_ENCODING if opened is None else opened.encoding


def note(path: Path, rows: int, faults: Sequence[Fault]) -> None:
    """Note the number of all rows of a file, and those of them that cannot be read.

    Raises:
        ImaxrayError: If there are faults but no reading is open, so that nobody would count them.
    """
    opened = _CURRENT.get()
    if opened is not None:
        opened.rows[path] = rows
        opened.faults[path] = list(faults)
    elif faults:
        row, _, message = faults[0]
        raise ImaxrayError(
            f"Expected sound rows in {path}, but {message} (data row {row}, and {len(faults) - 1} "
            "others); read the file within the read method of a source, which rejects such rows, "
            "or correct them."
        )


def known_encoding(name: str) -> str:
    """Return ``name`` if Python knows a text encoding of this name.

    Raises:
        ValueError: If there is none.

    Example:
        >>> known_encoding("latin-1")
        'latin-1'
    """
    try:
        "".encode(name)
        codecs.lookup(name)
    except (LookupError, UnicodeError) as error:
        raise ValueError(
            f"expected the name of a text encoding, such as utf-8 or latin-1, but got {name}"
        ) from error
    return name
