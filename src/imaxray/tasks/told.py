"""What answers tell of an image, as far as later prompts about the image are made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imaxray.boxes import Box


@dataclass(frozen=True)
class Told:
    """What one answer, or several answers, tell of an image.

    Attributes:
        labels: finding → 1 present, 0 absent, -1 uncertain; ``None``: no answer states labels.
        text: a report; ``None``: no answer is one.
        phrases: names of regions of the image.
        boxes: boxes of one thing each, pixels of the original image.
    """

    labels: Mapping[str, int] | None = None
    text: str | None = None
    phrases: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()

    def then(self, later: Told) -> Told:
        """Both; of two statements of labels, and of two reports, the later one counts."""
        return Told(
            self.labels if later.labels is None else later.labels,
            self.text if later.text is None else later.text,
            self.phrases + later.phrases,
            self.boxes + later.boxes,
        )
