"""Holds what answers state about an image, from which later prompts about the image are built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imaxray.boxes import Box


@dataclass(frozen=True)
class AnswerContent:
    """The labels, report, phrases and boxes that one or several answers state about an image.

    Attributes:
        labels: Finding → 1 (present), 0 (absent) or -1 (uncertain); ``None`` if no answer states
            labels.
        text: Text of a report; ``None`` if no answer is a report.
        phrases: Names of regions of the image.
        boxes: Boxes that each show one thing, in pixels of the original image.
    """

    labels: Mapping[str, int] | None = None
    text: str | None = None
    phrases: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()

    def then(self, later: AnswerContent) -> AnswerContent:
        """Combine this content with later content.

        The labels and the report of the later content replace earlier ones; phrases and boxes are
        joined.
        """
        return AnswerContent(
            self.labels if later.labels is None else later.labels,
            self.text if later.text is None else later.text,
            self.phrases + later.phrases,
            self.boxes + later.boxes,
        )
