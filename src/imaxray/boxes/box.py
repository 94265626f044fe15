"""Defines boxes, and the placeholder that stands for one in a text.

Inside imaxray a box is ``(x1, y1, x2, y2)``: floats, pixels of the original image, origin at the
top left, ``x`` to the right, ``y`` down, ``x1 < x2`` and ``y1 < y2``. "Left" and "right" in text
are the patient's sides: the patient's right side lies on the left of the image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeVar

Box = tuple[float, float, float, float]

PLACEHOLDER: Final = "<box>"
"""Text that stands for one box in prompts, targets and parsed answers."""

BoxLike = TypeVar("BoxLike", bound=Sequence[float])
"""A box, as a tuple or as the list that a table holds."""

RUN: Final = re.compile(r"<box>(?:\s*<box>)*")
"""Placeholders in a row."""


def split_boxes(
    prompt: str, target: str, boxes: Sequence[BoxLike]
) -> tuple[list[BoxLike], list[BoxLike]] | None:
    """Divide the boxes of an entry between its prompt and its target, those of the prompt first.

    The placeholders of a text are all structure or all text. They are text where the entry has no
    box for them, for instance if a report contains the word ``<box>``; the text then gets no box.

    Returns:
        Boxes of the prompt and boxes of the target; ``None`` if no division gives every box one
        placeholder.

    Example:
        >>> split_boxes("Describe <box>.", "a nodule", [(1, 2, 3, 4)])
        ([(1, 2, 3, 4)], [])
        >>> split_boxes("Write the report.", "See <box> 3.", [])
        ([], [])
    """
    asked, told, count = prompt.count(PLACEHOLDER), target.count(PLACEHOLDER), len(boxes)
    if asked + told == count:
        return list(boxes[:asked]), list(boxes[asked:])
    if count == 0 or (told == count and (asked != count or RUN.fullmatch(target.strip()))):
        return [], list(boxes)
    return (list(boxes), []) if asked == count else None


def box_of(corners: Sequence[float]) -> Box:
    """Return the four coordinates that a table holds as a box."""
    x1, y1, x2, y2 = corners
    return x1, y1, x2, y2


def from_xywh(x: float, y: float, width: float, height: float) -> Box:
    """Convert left, top, width, height (MS-CXR, ChestX-ray14, RSNA, SLAKE) to corners.

    Example:
        >>> from_xywh(100, 50, 200, 80)
        (100, 50, 300, 130)
    """
    return (x, y, x + width, y + height)


def to_xywh(box: Box) -> Box:
    """Convert corners to left, top, width, height.

    Example:
        >>> to_xywh((100, 50, 300, 130))
        (100, 50, 200, 80)
    """
    x1, y1, x2, y2 = box
    return (x1, y1, x2 - x1, y2 - y1)


def clip(box: Box, width: float, height: float) -> Box | None:
    """Cut ``box`` to the frame ``width`` × ``height``; return ``None`` if nothing is left.

    Example:
        >>> clip((-20, 10, 700, 300), width=512, height=512)
        (0.0, 10, 512.0, 300)
        >>> clip((600, 10, 700, 300), width=512, height=512) is None
        True
    """
    x1, y1, x2, y2 = box
    x1, x2 = max(0.0, x1), min(float(width), x2)
    y1, y2 = max(0.0, y1), min(float(height), y2)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def area(box: Box) -> float:
    """Return the area in square pixels; the area of an inverted box is 0.

    Example:
        >>> area((0, 0, 20, 10))
        200
    """
    x1, y1, x2, y2 = box
    return max(0.0, x2 - x1) * max(0.0, y2 - y1)


def iou(a: Box, b: Box) -> float:
    """Return the intersection over union, in [0, 1]; it is 0 if the boxes do not overlap.

    Example:
        >>> iou((0, 0, 10, 10), (0, 0, 10, 20))
        0.5
        >>> iou((0, 0, 10, 10), (50, 50, 60, 60))
        0.0
    """
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inter = width * height
    return inter / (area(a) + area(b) - inter)
