"""Converts answers to and from canonical JSON and removes the wrapping that models add."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

_LEAD: Final = re.compile(r"^(?:the )?answer(?: is)?(?:\s*:\s*|\s+)", re.IGNORECASE)
_EDGES: Final = "\"'` \t\r\n"


@dataclass(frozen=True)
class Gold:
    """A parsed answer in the form that entries hold.

    Attributes:
        target: Text of the answer in the task's own wording, with ``<box>`` placeholders.
        boxes: Boxes of the target, ``[x1, y1, x2, y2]`` in pixels of the original image.
        answer: Answer in gold form, as the task's entries hold it.
    """

    target: str
    boxes: list[list[float]]
    answer: Any


def subtask_of(template: str) -> str:
    """Return the subtask in a template id ``<task>.<subtask>.<number>``.

    Example:
        >>> subtask_of("calculation.ctr.0")
        'ctr'
    """
    return template.split(".")[1]


def to_json(answer: Any) -> str:
    """Return the canonical JSON of an answer, which has sorted keys and no spaces."""
    return orjson.dumps(answer, option=orjson.OPT_SORT_KEYS).decode()


def from_json(answer: str) -> Any:
    """Read an answer from JSON, as :func:`to_json` writes it."""
    return orjson.loads(answer)


def strip_wrapping(text: str) -> str:
    """Remove quotes, backticks, a leading ``Answer:`` and a final full stop from an answer."""
    bare = text.strip(_EDGES)
    # the full stop may stand inside or outside the quotes
    return _LEAD.sub("", bare).strip(_EDGES).removesuffix(".").strip(_EDGES)
