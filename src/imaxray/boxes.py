"""One internal box convention and every conversion to and from others.

Inside imaxray a box is ``(x1, y1, x2, y2)``: floats, pixels of the original image, origin at the
top left, ``x`` to the right, ``y`` down, ``x1 < x2`` and ``y1 < y2``. Sides named in text are the
patient's: the patient's right lies on the left of the image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Box = tuple[float, float, float, float]

PLACEHOLDER: Final = "<box>"
"""Stands for one box in prompts, targets and parsed answers."""


def from_xywh(x: float, y: float, width: float, height: float) -> Box:
    """Convert left, top, width, height (MS-CXR, ChestX-ray14, RSNA, SLAKE) to corners."""
    return (x, y, x + width, y + height)


def to_xywh(box: Box) -> Box:
    """Convert corners to left, top, width, height."""
    x1, y1, x2, y2 = box
    return (x1, y1, x2 - x1, y2 - y1)


def clip(box: Box, width: float, height: float) -> Box | None:
    """Cut ``box`` to the frame ``width`` × ``height``; ``None`` where nothing is left of it."""
    x1, y1, x2, y2 = box
    x1, x2 = max(0.0, x1), min(float(width), x2)
    y1, y2 = max(0.0, y1), min(float(height), y2)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def area(box: Box) -> float:
    """Area in square pixels; 0 for an inverted box."""
    x1, y1, x2, y2 = box
    return max(0.0, x2 - x1) * max(0.0, y2 - y1)


def iou(a: Box, b: Box) -> float:
    """Intersection over union, in [0, 1]; 0 where both are empty."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inter = width * height
    return inter / (area(a) + area(b) - inter)


@dataclass(frozen=True)
class BoxConvention:
    """How a model writes boxes in text: scale and bracket form.

    ``scale`` is the number that the right and bottom edge of the image map to: 100 and 1000 give
    integers relative to the image (Uni-Med, InternVL, Qwen3-VL), 1 gives the unit square.
    Conventions in pixels of a resized image arrive with the model families that use them.
    """

    name: str
    scale: float
    decimals: int
    opening: str = "["
    closing: str = "]"

    def render(self, box: Box, width: float, height: float) -> str:
        """Write ``box`` (pixels of the ``width`` × ``height`` original) as the model's text."""
        x1, y1, x2, y2 = box
        unit = (x1 / width, y1 / height, x2 / width, y2 / height)
        numbers = ", ".join(f"{min(max(v, 0.0), 1.0) * self.scale:.{self.decimals}f}" for v in unit)
        return f"{self.opening}{numbers}{self.closing}"

    def fill(self, text: str, boxes: Sequence[Box], width: float, height: float) -> str:
        """Replace each ``<box>`` of ``text`` by the next of ``boxes``.

        Raises:
            ValueError: placeholders and boxes differ in number.
        """
        parts = text.split(PLACEHOLDER)
        if len(parts) - 1 != len(boxes):
            raise ValueError(
                f"{len(boxes)} boxes for {len(parts) - 1} {PLACEHOLDER} placeholders in one text"
            )
        filled = [parts[0]]
        for box, part in zip(boxes, parts[1:], strict=True):
            filled += [self.render(box, width, height), part]
        return "".join(filled)

    def extract(self, text: str, width: float, height: float) -> tuple[str, list[Box]]:
        """Take the boxes out of a model's ``text``: the text with placeholders, and the boxes.

        Strict: a bracket with anything but four numbers in [0, scale], or with corners out of
        order, is left in the text as it is and so fails the task's parse. Nothing is guessed from
        magnitudes. Returned boxes are in pixels of the ``width`` × ``height`` original.
        """
        boxes: list[Box] = []

        def take(match: re.Match[str]) -> str:
            x1, y1, x2, y2 = (float(number) / self.scale for number in match.groups())
            if max(x1, y1, x2, y2) > 1 or x1 >= x2 or y1 >= y2:
                return match.group(0)
            boxes.append((x1 * width, y1 * height, x2 * width, y2 * height))
            return PLACEHOLDER

        return self._pattern.sub(take, text), boxes

    @property
    def _pattern(self) -> re.Pattern[str]:
        number = r"\s*(\d+(?:\.\d+)?)\s*"
        return re.compile(
            re.escape(self.opening) + ",".join([number] * 4) + re.escape(self.closing)
        )


PERCENT: Final = BoxConvention("percent", scale=100, decimals=0)
"""``[12, 34, 56, 78]``: integers 0-100 of the image's width and height (Uni-Med, CheXagent-2)."""

PER_MILLE: Final = BoxConvention("per-mille", scale=1000, decimals=0)
"""``[120, 340, 560, 780]``: integers 0-1000 (InternVL, Qwen3-VL)."""

UNIT: Final = BoxConvention("unit", scale=1, decimals=2)
"""``[0.12, 0.34, 0.56, 0.78]``: the unit square, two decimals (RadVLM)."""
