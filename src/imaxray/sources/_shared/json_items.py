"""Reads lists of JSON objects, the format in which several releases ship their questions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from imaxray.errors import ImaxrayError
from imaxray.sources._shared.tables import shown

_HEAD: Final = 2**18  # bytes; the first item of every known release is shorter


def check_items(path: Path, required: Sequence[str], what: str = "questions") -> None:
    """Check that ``path`` starts with a list whose first item has the ``required`` keys.

    Only the head of the file is read; :func:`read_items` finds faults in the rest of the file.

    Raises:
        ImaxrayError: For the reasons that :func:`read_items` lists.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD).decode("utf-8", errors="ignore").lstrip("\ufeff \t\r\n")
        if head.startswith("["):
            item, _ = json.JSONDecoder().raw_decode(head[1:].lstrip())
            _require([item], path, required, what)
            return
    except (OSError, ValueError, RecursionError):
        pass  # no list, or an item longer than the head: only reading the whole file can tell
    read_items(path, required, what)


def read_items(path: Path, required: Sequence[str], what: str = "questions") -> list[Any]:
    """Read a JSON file that must hold a non-empty list whose first item has the ``required`` keys.

    Raises:
        ImaxrayError: If the JSON is damaged, is no list or an empty list, or if a key is missing.
    """
    try:
        items = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ImaxrayError(
            f"Expected readable JSON at {path}, but it is damaged; compare its checksum with the "
            "release's and download it again."
        ) from error
    _require(items, path, required, what)
    good: list[Any] = items
    return good


def _require(items: Any, path: Path, required: Sequence[str], what: str) -> None:
    if not isinstance(items, list) or not items:
        raise ImaxrayError(
            f"Expected a non-empty list of {what} in {path}, but it holds none; check that it "
            "is the file of the stated release."
        )
    first = items[0] if isinstance(items[0], dict) else {}
    missing = [key for key in required if key not in first]
    if missing:
        raise ImaxrayError(
            f"Expected the key {', '.join(missing)} in the items of {path}, but they have "
            f"{shown(', '.join(sorted(first))) or 'none'}; check that it is the "
            f"file with {'answers' if what == 'questions' else what}."
        )


def text_of(value: Any) -> str:
    """Return a JSON scalar as stripped text, because an answer may be a number."""
    return "" if value is None or isinstance(value, (dict, list)) else str(value).strip()
