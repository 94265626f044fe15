"""Finds values of a configuration that pydantic takes for numbers although they are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, RootModel

from imaxray._common.defaults import LARGEST

_SHOWN: Final = 40
"""Number of characters of a value that a message repeats."""


def mistaken_number(given: Any, made: Any) -> tuple[tuple[int | str, ...], str, str] | None:
    """Find a value that pydantic took for a number and that is none, or is none that we take.

    Pydantic takes true for 1, and a text of digits for a number of any length. A text such as
    ``1e-4`` must stay a number, because YAML has no such number.

    Args:
        given: What a file says.
        made: What it became.

    Returns:
        The keys that lead to the first such value, the value, and what is wrong with it.
    """
    if isinstance(given, bool) and not isinstance(made, bool) and isinstance(made, (int, float)):
        return (), str(given).lower(), "it should be a number, and not yes or no"
    if isinstance(given, str) and isinstance(made, int) and abs(made) > LARGEST:
        return (), given[:_SHOWN], f"it should be at most {LARGEST}"
    if isinstance(given, Mapping):
        pairs = [(key, value, _under(made, key)) for key, value in given.items()]
    elif isinstance(given, list | tuple) and isinstance(made, list | tuple):
        pairs = [(k, *both) for k, both in enumerate(zip(given, made, strict=False))]
    else:
        return None
    for key, value, became in pairs:
        found = mistaken_number(value, became)
        if found is not None:
            return (key, *found[0]), *found[1:]
    return None


def _under(made: Any, key: Any) -> Any:
    """Return what a model or a mapping has under a key of the content."""
    if isinstance(made, RootModel):
        made = made.root
    if isinstance(made, Mapping):
        return made.get(key)
    if not isinstance(made, BaseModel):
        return None
    fields = type(made).model_fields
    name = next((name for name, field in fields.items() if key in (field.alias, name)), None)
    return None if name is None else getattr(made, name)
