"""Answers: their canonical JSON, the form that entries hold, and the wrapping that models add."""

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
        target: in the task's own wording, with ``<box>`` placeholders.
        boxes: of the target, pixels of the original image.
        answer: as gold answers of the task are.
    """

    target: str
    boxes: list[list[float]]
    answer: Any


def subtask_of(template: str) -> str:
    """The subtask in a template id ``<task>.<subtask>.<number>``.

    Example:
        >>> subtask_of("calculation.ctr.0")
        'ctr'
    """
    return template.split(".")[1]


def to_json(answer: Any) -> str:
    """Canonical JSON of an answer: sorted keys, no spaces."""
    return orjson.dumps(answer, option=orjson.OPT_SORT_KEYS).decode()


def from_json(answer: str) -> Any:
    """Read :func:`to_json` back."""
    return orjson.loads(answer)


def strip_wrapping(text: str) -> str:
    """Take quotes, backticks, a leading ``Answer:`` and a final full stop off an answer."""
    bare = text.strip(_EDGES)
    # the full stop may stand inside or outside the quotes
    return _LEAD.sub("", bare).strip(_EDGES).removesuffix(".").strip(_EDGES)
