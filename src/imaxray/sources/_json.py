"""Lists of JSON objects, as question releases ship them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from imaxray.errors import ImaxrayError


def read_items(path: Path, required: Sequence[str]) -> list[Any]:
    """Read a JSON file that must hold a non-empty list whose first item has the ``required`` keys.

    Raises:
        ImaxrayError: damaged JSON, no list, an empty list, or a missing key.
    """
    try:
        items = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ImaxrayError(
            f"Expected readable JSON at {path}, but it is damaged; compare its checksum with the "
            "release's and download it again."
        ) from error
    if not isinstance(items, list) or not items:
        raise ImaxrayError(
            f"Expected a non-empty list of questions in {path}, but it holds none; check that it "
            "is the file of the stated release."
        )
    first = items[0] if isinstance(items[0], dict) else {}
    missing = [key for key in required if key not in first]
    if missing:
        raise ImaxrayError(
            f"Expected the key {', '.join(missing)} in the items of {path}, but they have "
            f"{', '.join(sorted(first)) or 'none'}; check that it is the file with answers."
        )
    return items


def text_of(value: Any) -> str:
    """A JSON scalar as stripped text: answers may be numbers."""
    return "" if value is None or isinstance(value, (dict, list)) else str(value).strip()
