"""Reads lists of JSON objects, the format in which several releases ship their questions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from imaxray._common.files import require_file
from imaxray._common.strict_json import BadItem, parse_items
from imaxray.errors import ImaxrayError
from imaxray.sources._checks.reading import current_encoding
from imaxray.sources._shared.files.paths import shown

_HEAD: Final = 2**18  # bytes; the first item of every known release is shorter


def check_items(path: Path, required: Sequence[str], what: str = "questions") -> None:
    """Check that ``path`` starts with a list whose first item has the ``required`` keys.

    Only the head of the file is read; :func:`read_items` finds faults in the rest of the file.

    Raises:
        ImaxrayError: For the reasons that :func:`read_items` lists.
    """
    require_file(path)
    try:
        with path.open("rb") as stream:
            # The head may end within a character, so the rest of it is ignored.
            head = stream.read(_HEAD).decode(current_encoding(), errors="ignore")
        head = head.lstrip("\ufeff \t\r\n")
        if head.startswith("["):
            item, _ = json.JSONDecoder().raw_decode(head[1:].lstrip())
            _require([item], path, required, what)
            return
    except (OSError, ValueError, RecursionError):
        pass  # no list, or an item longer than the head: only reading the whole file can tell
    read_items(path, required, what)


def read_items(path: Path, required: Sequence[str], what: str = "questions") -> list[Any]:
    """Read a JSON file that must hold a non-empty list whose first item has the ``required`` keys.

    An item that cannot be read is a :class:`BadItem`, which the caller rejects with its code.

    Raises:
        ImaxrayError: If the file is no list of items or an empty list, or if a key is missing.
    """
    try:
        items = parse_items(path.read_bytes(), current_encoding())
    except OSError as error:
        raise _damaged(path) from error
    if items is None:
        raise _damaged(path)
    _require(items, path, required, what)
    return items


def _damaged(path: Path) -> ImaxrayError:
    return ImaxrayError(
        f"Expected readable JSON at {path}, but it is damaged or is no list; compare its checksum "
        "with the release's."
    )


def _require(items: list[Any], path: Path, required: Sequence[str], what: str) -> None:
    if not items:
        raise ImaxrayError(
            f"Expected a non-empty list of {what} in {path}, but it holds none; check that it "
            "is the file of the stated release."
        )
    # An item that cannot be read says nothing about the others.
    sound = next((item for item in items if not isinstance(item, BadItem)), None)
    first = sound if isinstance(sound, dict) else {}
    missing = [key for key in required if key not in first]
    if missing and sound is not None:
        raise ImaxrayError(
            f"Expected the key {', '.join(missing)} in the items of {path}, but they have "
            f"{shown(', '.join(sorted(first))) or 'none'}; check that it is the "
            f"file with {'answers' if what == 'questions' else what}."
        )


def text_of(value: Any) -> str:
    """Return a JSON scalar as stripped text, because an answer may be a number."""
    return "" if value is None or isinstance(value, (dict, list)) else str(value).strip()
