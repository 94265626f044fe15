"""A question is what the prompt of an entry or of a pseudo candidate asks about an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imaxray.boxes import PLACEHOLDER, split_boxes


@dataclass(frozen=True)
class Question:
    """A question holds a prompt, its template and its boxes.

    Attributes:
        template: Template id, ``<task>.<subtask>.<number>``.
        prompt: Text of the prompt, with ``<box>`` placeholders.
        boxes: Boxes of the prompt, ``[x1, y1, x2, y2]`` in pixels of the original image.
    """

    template: str
    prompt: str
    boxes: list[list[float]]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Question:
        """Make the question of a row of entries or candidates.

        The first boxes of a row belong to its prompt.
        """
        boxes = row["boxes"] or []
        parts = split_boxes(row["prompt"], row.get("target") or "", boxes)
        first = boxes[: row["prompt"].count(PLACEHOLDER)]
        return cls(row["template"], row["prompt"], parts[0] if parts else first)
