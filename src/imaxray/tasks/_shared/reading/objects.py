"""Finds JSON in an answer, also with single quotes or in a sentence, and YAML lists of objects."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

import yaml

_TRAILING: Final = re.compile(r",(?=\s*[}\]])")
_COMMENT: Final = re.compile(r"(?m)\s//.*$")
_ANSWER: Final = re.compile(
    r"(?:final[_ ]?)?(?:answer|response|result|output|value|prediction|label|phrase|description"
    r"|finding|diagnosis|text|name|region|choice|option|caption|conclusion)",
    re.IGNORECASE,
)
_GAP: Final = re.compile(r"\s+")

ASIDE: Final = re.compile(
    r"(?:explanation|reason(?:ing|s)?|rationale|confidence(?:[_ ]\w+)?|probabilit(?:y|ies)|scores?"
    r"|notes?|thoughts?|thinking|analysis|comments?|justification|evidence|disclaimer|steps?"
    r"|question|image(?:_\w+)?|view|patient\w*|bbox\w*|box\w*|certainty|caveats?|limitations?"
    r"|recommendations?)",
    re.IGNORECASE,
)
"""Keys of an object that hold no answer."""


_YAML: Final = re.compile(r"\A(?:[\w ]{1,40}:[ \t]*\n)?[ \t]*-[ \t]+[\w ]{1,40}:[ \t]")
"""Beginning of a YAML list of objects, with or without a key before it."""
_LONGEST_YAML: Final = 5_000  # characters; an answer in YAML is short


class _TwiceError(Exception):
    """An object has a key twice with different values."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result and result[key] != value:
            raise _TwiceError
        result[key] = value
    return result


def parse_object(text: str) -> Any | None:
    """Return the JSON object or list that is the whole text or stands in it; ``None`` if none does.

    Example:
        >>> parse_object("Result: {'grade': 2}")
        {'grade': 2}
    """
    bare = text.strip()
    whole = _load(bare)
    if isinstance(whole, dict | list):
        return whole
    for opening, closing in (("{", "}"), ("[", "]")):
        start, end = bare.find(opening), bare.rfind(closing)
        if 0 <= start < end:
            found = _load(bare[start : end + 1])
            if isinstance(found, dict) or (isinstance(found, list) and found):
                return found
    return None


def yaml_as_json(text: str) -> str:
    r"""Write a YAML list of objects as JSON; all other texts stay, even if YAML could read them.

    Example:
        >>> yaml_as_json("- name: Edema\n  present: false")
        '[{"name": "Edema", "present": false}]'
    """
    bare = text.strip()
    if _YAML.match(bare) is None or len(bare) > _LONGEST_YAML:
        return text
    try:
        found = yaml.safe_load(bare)
        items = next(iter(found.values())) if isinstance(found, dict) and len(found) == 1 else found
        several = isinstance(items, list) and all(isinstance(item, dict) for item in items)
        # "- Edema: No" on each line is a list of labels, which is read as such
        return json.dumps(found) if several and any(len(item) > 1 for item in items) else text
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return text


def _load(text: str) -> Any | None:
    if not text or text[0] not in "{[":
        return None
    clean = _TRAILING.sub("", _COMMENT.sub("", text))
    try:
        return json.loads(clean, object_pairs_hook=_once)
    except _TwiceError:
        return None
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the compiler, about what a model wrote
            return ast.literal_eval(clean)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def text_of(value: Any) -> str | None:
    """Return the text that an object or list states as its answer; ``None`` if it is not clear.

    The text is the only value that is no aside, or the value whose key says that it is the answer.

    Example:
        >>> text_of({"answer": "left lung", "confidence": 0.9})
        'left lung'
        >>> text_of(["left lung", "right lung"])
        'left lung, right lung'
        >>> text_of({"answer": True})
        'yes'
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        if value and all(isinstance(item, int | float) for item in value):
            return None  # a box
        parts = [text_of(item) for item in value]
        said = [part for part in parts if part is not None]
        return ", ".join(said) if said and len(said) == len(parts) else None
    if not isinstance(value, Mapping):
        return None
    named = [v for k, v in value.items() if _ANSWER.fullmatch(str(k))]
    chosen = named or [v for k, v in value.items() if not ASIDE.fullmatch(str(k))]
    return text_of(chosen[0]) if len(chosen) == 1 else None


def with_single_spaces(text: str) -> str:
    r"""Write each run of white space as one space, or as one line break if it has one.

    Expressions with several optional gaps would otherwise try all divisions of a long run.

    Example:
        >>> with_single_spaces("grade  \t 2 \n\n because")
        'grade 2\nbecause'
    """
    return _GAP.sub(lambda gap: "\n" if "\n" in gap.group() else " ", text)
