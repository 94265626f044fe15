"""A question about an image: what the prompt of an entry, or of a candidate, asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imaxray.boxes import PLACEHOLDER, split_boxes


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        template: template id, ``<task>.<subtask>.<number>``.
        prompt: the wording, with ``<box>`` placeholders.
        boxes: those of the prompt, ``[x1, y1, x2, y2]`` in pixels of the original image.
    """

    template: str
    prompt: str
    boxes: list[list[float]]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Question:
        """The question of a row of entries or candidates; the prompt's boxes come first there."""
        boxes = row["boxes"] or []
        parts = split_boxes(row["prompt"], row.get("target") or "", boxes)
        first = boxes[: row["prompt"].count(PLACEHOLDER)]
        return cls(row["template"], row["prompt"], parts[0] if parts else first)
