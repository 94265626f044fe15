"""Parses JSON strictly; an element that cannot be taken as it stands costs itself only.

JSON has no NaN and no infinity, is text in one encoding, and has each key of an object once.
Parsers are lenient in different places: most of them keep the last of two equal keys, so that a
value vanishes without a word. So all JSON that users or publishers write is read here. An element
that is wrong becomes a :class:`BadItem` with the code and the message of its reject. If the
elements of a list cannot be told apart, the whole list is bad.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

_UTF_8: Final = "utf-8"
NO_JSON: Final = "the item is no JSON"
"""Message of an element that breaks the syntax of JSON."""

_NO_TEXT: Final = "the item is not text in the encoding of the release"
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SCALAR: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[^,\]\s]+', re.DOTALL)
_STRUCTURE: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_KEY: Final = re.compile(rb'"\s*:')


@dataclass(frozen=True)
class BadItem:
    """Stands for an element that cannot be read, with the code and the message of its reject."""

    code: str
    message: str


class _RepeatedKeyError(ValueError):
    """Says that an object has a key twice."""


class _NoNumberError(ValueError):
    """Says that a number is NaN or infinite."""


def parse_item(content: bytes | str) -> Any:
    """Parse one JSON value; a :class:`BadItem` says what is wrong with it.

    Example:
        >>> parse_item(b'{"a": 1}')
        {'a': 1}
        >>> parse_item(b'{"a": 1, "a": 2}').message, parse_item(b'{"a": NaN}').message
        ('a key of the item stands there twice', 'a number of the item is NaN or infinite')
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        item = orjson.loads(data)
    except orjson.JSONDecodeError:
        return _strictly(data)
    # No object has a key twice if the text has as many keys as the objects.
    return item if len(_KEY.findall(data)) == _keys(item) else _strictly(data)


def parse_items(content: bytes, encoding: str = _UTF_8) -> list[Any] | None:
    """Parse a list of JSON values; elements that cannot be read are :class:`BadItem`.

    Returns:
        The elements; None if the content is no JSON list, or if it is damaged between elements.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
        data, encoding = content, _UTF_8
    else:
        try:
            data = content.decode(encoding).encode()
        except UnicodeError:
            data = b""
    try:
        items = orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    else:
        if not isinstance(items, list):
            return None
        if len(_KEY.findall(data)) == _keys(items):
            return items
    try:
        # Bytes that are no text become surrogates; elements that hold one are bad.
        return _elements(content.decode(encoding, "surrogateescape").removeprefix("\ufeff"))
    except UnicodeError:  # two bytes a character, and one byte is missing
        return None


def _elements(text: str) -> list[Any] | None:
    """Parse a list element by element."""
    at = _blank(text, 0)
    if text[at : at + 1] != "[":
        return None
    at = _blank(text, at + 1)
    items: list[Any] = []
    if text[at : at + 1] == "]":
        return items if _blank(text, at + 1) == len(text) else None
    while True:
        end = _end(text, at)
        if end is None:
            return None
        element = text[at:end]
        items.append(
            BadItem("bad-encoding", _NO_TEXT) if _SURROGATE.search(element) else parse_item(element)
        )
        at = _blank(text, end)
        if text[at : at + 1] == "]":
            return items if _blank(text, at + 1) == len(text) else None
        if text[at : at + 1] != ",":
            return None
        at = _blank(text, at + 1)


def _end(text: str, at: int) -> int | None:
    """Return where the element that starts at ``at`` ends, by brackets and quotation marks."""
    depth = 0
    if text[at : at + 1] not in ("{", "["):
        match = _SCALAR.match(text, at)
        return None if match is None else match.end()
    for mark in _STRUCTURE.finditer(text, at):
        if mark.group() in ("{", "["):
            depth += 1
        elif mark.group() in ("}", "]"):
            depth -= 1
        if depth == 0:
            return mark.end()
    return None


def _blank(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _strictly(data: bytes) -> Any:
    try:
        # A byte that is no text becomes a surrogate, so that other faults are found first.
        item = json.loads(
            data.decode("utf-8", "surrogateescape"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_finite,
        )
    except _RepeatedKeyError:
        return BadItem("bad-json", "a key of the item stands there twice")
    except _NoNumberError:
        return BadItem("bad-json", "a number of the item is NaN or infinite")
    except (ValueError, RecursionError):
        return BadItem("bad-json", NO_JSON)
    try:
        data.decode()
    except UnicodeDecodeError:
        return BadItem("bad-encoding", _NO_TEXT)
    return item


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _RepeatedKeyError
    return found


def _constant(name: str) -> Any:
    raise _NoNumberError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NoNumberError(text)
    return number


def _keys(item: Any) -> int:
    """Return the number of keys of all objects in a JSON value."""
    count, rest = 0, [item]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            count += len(value)
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)
    return count
