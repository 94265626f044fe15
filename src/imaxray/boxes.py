"""One internal box convention and every conversion to and from others.

Inside imaxray a box is ``(x1, y1, x2, y2)``: floats, pixels of the original image, origin at the
top left, ``x`` to the right, ``y`` down, ``x1 < x2`` and ``y1 < y2``. Sides named in text are the
patient's: the patient's right lies on the left of the image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Final

from imaxray.errors import ImaxrayError
from imaxray.geometry import (
    WHOLE,
    Frame,
    Geometry,
    Letterbox,
    SmartResize,
    geometry_as_dict,
    geometry_from_dict,
)

Box = tuple[float, float, float, float]

PLACEHOLDER: Final = "<box>"
"""Stands for one box in prompts, targets and parsed answers."""

_RUN: Final = re.compile(r"<box>(?:\s*<box>)*")
_NO_PLACEHOLDER: Final = "&lt;box&gt;"


def box_of(corners: Sequence[float]) -> Box:
    """Four corners of a table as a box."""
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
    """Cut ``box`` to the frame ``width`` × ``height``; ``None`` where nothing is left of it.

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
    """Area in square pixels; 0 for an inverted box.

    Example:
        >>> area((0, 0, 20, 10))
        200
    """
    x1, y1, x2, y2 = box
    return max(0.0, x2 - x1) * max(0.0, y2 - y1)


def iou(a: Box, b: Box) -> float:
    """Intersection over union, in [0, 1]; 0 where both are empty.

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


@dataclass(frozen=True)
class BoxConvention:
    """How a model writes boxes in text: numbers, brackets, and the frame they refer to.

    Nothing about a box is ever inferred from the size of its numbers: scale, order and frame are
    the convention's.

    Attributes:
        name: as the command line takes it.
        scale: the number that the frame's right and bottom edge map to: 100 or 1000 for integers
            relative to the frame, 1 for the unit square; ``None`` for pixels of the frame.
        decimals: digits after the point; with 0 only integers are read.
        y_first: ``y1, x1, y2, x2`` instead of ``x1, y1, x2, y2``.
        key: a box is a JSON object with the four numbers under this key (others are not read).
        tags: text around the list of one box or of several boxes in a row.
        fence: text around the list of boxes, in an answer that is nothing but boxes.
        geometry: how originals come into the frame. The model's processor decides it; see
            :meth:`seen_through`.
    """

    name: str
    scale: float | None
    decimals: int = 0
    y_first: bool = False
    key: str | None = None
    tags: tuple[str, str] | None = None
    fence: tuple[str, str] | None = None
    geometry: Geometry = WHOLE

    def seen_through(self, geometry: Geometry) -> BoxConvention:
        """The same convention in the frame of a model's processor.

        Example:
            >>> padded = PER_MILLE.seen_through(Letterbox())
            >>> PER_MILLE.render((0, 0, 100, 200), 100, 200)
            '[0, 0, 1000, 1000]'
            >>> padded.render((0, 0, 100, 200), 100, 200)
            '[250, 0, 750, 1000]'
        """
        return replace(self, geometry=geometry)

    def resolution(self, width: float, height: float) -> tuple[float, float]:
        """Original pixels that one step of the last digit spans, along x and y.

        A rendered box comes back within half a step of where it was: within half a pixel wherever
        a step is at most one pixel. Only a box thinner than a step is written one step wide, each
        side within one step.

        Example:
            >>> PERCENT.resolution(2000, 2500)
            (20.0, 25.0)
        """
        frame = self.geometry.frame(width, height)
        step, (right, bottom) = 10.0**-self.decimals, self._edges(frame)
        return (
            step * frame.width / right / frame.scale[0],
            step * frame.height / bottom / frame.scale[1],
        )

    def render(self, box: Box, width: float, height: float) -> str:
        """Write ``box`` (pixels of the ``width`` × ``height`` original) as the model's text.

        Example:
            >>> PERCENT.render((256, 128, 512, 384), 1024, 1024)
            '[25, 12, 50, 38]'
            >>> BOX_2D.render((256, 128, 512, 384), 1024, 1024)
            '{"box_2d": [125, 250, 375, 500]}'
        """
        return self._in_tags([self._write(box, width, height)])

    def fill(self, text: str, boxes: Sequence[Box], width: float, height: float) -> str:
        """Replace each ``<box>`` of ``text`` by the next of ``boxes``.

        Raises:
            ValueError: placeholders and boxes differ in number.

        Example:
            >>> PERCENT.fill("effusion at <box>", [(256, 128, 512, 384)], 1024, 1024)
            'effusion at [25, 12, 50, 38]'
        """
        count = text.count(PLACEHOLDER)
        if count != len(boxes):
            raise ValueError(
                f"{len(boxes)} boxes for {count} {PLACEHOLDER} placeholders in one text"
            )
        written = [self._write(box, width, height) for box in boxes]
        if self.fence and _RUN.fullmatch(text):
            return f"{self.fence[0]}[{', '.join(written)}]{self.fence[1]}"
        rest = iter(written)
        pattern = _RUN if self.tags else re.compile(PLACEHOLDER)
        return pattern.sub(
            lambda run: self._in_tags([next(rest) for _ in range(run[0].count(PLACEHOLDER))]), text
        )

    def extract(self, text: str, width: float, height: float) -> tuple[str, list[Box]]:
        """Take the boxes out of a model's ``text``: the text with placeholders, and the boxes.

        Strict: a bracket with anything but four numbers within the frame, or with corners out of
        order, is left in the text as it is and so fails the task's parse; in a list of boxes one
        such spoils all. Boxes that reach into a frame's padding are cut to the image; what lies
        wholly there is no box. Returned boxes are in pixels of the ``width`` × ``height`` original,
        one for each placeholder of the returned text.

        Example:
            >>> PERCENT.extract("effusion at [25, 12, 50, 38]", 1000, 1000)
            ('effusion at <box>', [(250.0, 120.0, 500.0, 380.0)])
            >>> PERCENT.extract("[50, 12, 25, 38]", 1000, 1000)  # corners in the wrong order
            ('[50, 12, 25, 38]', [])
        """
        frame = self.geometry.frame(width, height)
        boxes: list[Box] = []
        parts: list[str] = []
        last = 0
        for match in self._reading.finditer(text):
            found = [
                self._read(numbers, frame, width, height) for numbers in self._one.findall(match[0])
            ]
            taken = [box for box in found if box is not None]
            if len(taken) < len(found):
                continue
            boxes += taken
            parts += [_literal(text[last : match.start()]), " ".join([PLACEHOLDER] * len(taken))]
            last = match.end()
        return "".join([*parts, _literal(text[last:])]), boxes

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for manifests; :meth:`from_dict` reads them back."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**values, "geometry": geometry_as_dict(self.geometry)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BoxConvention:
        """Read :meth:`as_dict` back, also from JSON.

        Example:
            >>> BoxConvention.from_dict(PERCENT.as_dict()) == PERCENT
            True
        """
        pairs = {key: tuple(values[key]) for key in ("tags", "fence") if values.get(key)}
        geometry = geometry_from_dict(values["geometry"])
        return cls(**{**values, **pairs, "geometry": geometry})

    def _edges(self, frame: Frame) -> tuple[float, float]:
        """The numbers of the frame's right and bottom edge."""
        if self.scale is None:
            return frame.width, frame.height
        return self.scale, self.scale

    def _write(self, box: Box, width: float, height: float) -> str:
        frame = self.geometry.frame(width, height)
        right, bottom = self._edges(frame)
        x1, y1, x2, y2 = frame.enter(box)
        x1, x2 = self._steps(x1 / frame.width * right, x2 / frame.width * right, right)
        y1, y2 = self._steps(y1 / frame.height * bottom, y2 / frame.height * bottom, bottom)
        order = (y1, x1, y2, x2) if self.y_first else (x1, y1, x2, y2)
        numbers = "[" + ", ".join(f"{value:.{self.decimals}f}" for value in order) + "]"
        return f'{{"{self.key}": {numbers}}}' if self.key else numbers

    def _steps(self, low: float, high: float, edge: float) -> tuple[float, float]:
        """Two coordinates on the grid of the last digit, never one and the same."""
        unit = 10**self.decimals
        last = int(edge * unit)
        a, b = (min(max(round(value * unit), 0), last) for value in (low, high))
        if a == b:  # thinner than a step: move the side that is nearer to its neighbour
            up = b < last and (a == 0 or high * unit - b >= a - low * unit)
            a, b = (a, b + 1) if up else (a - 1, b)
        return a / unit, b / unit

    def _in_tags(self, written: Sequence[str]) -> str:
        if self.tags is None:
            return " ".join(written)
        return f"{self.tags[0]}[{', '.join(written)}]{self.tags[1]}"

    def _read(
        self, numbers: Sequence[str], frame: Frame, width: float, height: float
    ) -> Box | None:
        a, b, c, d = map(float, numbers)
        x1, y1, x2, y2 = (b, a, d, c) if self.y_first else (a, b, c, d)
        right, bottom = self._edges(frame)
        if x2 > right or y2 > bottom or x1 >= x2 or y1 >= y2:
            return None
        wide, high = frame.width / right, frame.height / bottom
        return clip(frame.leave((x1 * wide, y1 * high, x2 * wide, y2 * high)), width, height)

    @cached_property
    def _one(self) -> re.Pattern[str]:
        """One box, the four numbers as groups."""
        number = r"\s*(\d+(?:\.\d+)?)\s*" if self.decimals else r"\s*(\d+)\s*"
        numbers = r"\[" + ",".join([number] * 4) + r"\]"
        if self.key is None:
            return re.compile(numbers)
        return re.compile(r'\{[^{}]*"' + re.escape(self.key) + r'"\s*:\s*' + numbers + r"[^{}]*\}")

    @cached_property
    def _reading(self) -> re.Pattern[str]:
        """What is replaced by placeholders: one box, or a tagged list of them.

        The tags may be missing (they are special tokens, which some decoders drop); the outer
        bracket of the list may not.
        """
        if self.tags is None:
            return self._one
        one = re.sub(r"\((?!\?)", "(?:", self._one.pattern)
        before, after = (rf"(?:{re.escape(tag)})?" for tag in self.tags)
        return re.compile(rf"{before}\s*\[\s*{one}(?:\s*,\s*{one})*\s*\]\s*{after}")


def _literal(text: str) -> str:
    """Text in which ``<box>`` was the model's own word and stands for no box."""
    return text.replace(PLACEHOLDER, _NO_PLACEHOLDER)


PERCENT: Final = BoxConvention("percent", scale=100)
"""``[12, 34, 56, 78]``: integers 0-100 of the image's width and height (Uni-Med)."""

PER_MILLE: Final = BoxConvention("per-mille", scale=1000)
"""``[120, 340, 560, 780]``: integers 0-1000."""

PER_MILLE_TAGGED: Final = BoxConvention("per-mille-tagged", scale=1000, tags=("<box>", "</box>"))
"""``<box>[[120, 340, 560, 780]]</box>``: integers 0-1000 (InternVL, MedMO)."""

UNIT: Final = BoxConvention("unit", scale=1, decimals=2)
"""``[0.12, 0.34, 0.56, 0.78]``: the unit square, two decimals (RadVLM)."""

UNIT_PADDED: Final = BoxConvention("unit-padded", scale=1, decimals=2, geometry=Letterbox())
"""The same of the image padded to a square (LLaVA 1.5)."""

PIXELS: Final = BoxConvention("pixels", scale=None, geometry=SmartResize())
"""``[151, 182, 213, 236]``: integer pixels of the resized image (Qwen2.5-VL)."""

BOX_2D: Final = BoxConvention(
    "box-2d",
    scale=1000,
    y_first=True,
    key="box_2d",
    fence=("```json\n", "\n```"),
    geometry=Letterbox(),
)
"""``{"box_2d": [340, 120, 780, 560]}``: y first, 0-1000 of the image padded to a square
(MedGemma 1.5)."""

CONVENTIONS: Final[Mapping[str, BoxConvention]] = {
    convention.name: convention
    for convention in (
        PERCENT, PER_MILLE, PER_MILLE_TAGGED, UNIT, UNIT_PADDED, PIXELS, BOX_2D,
    )
}  # fmt: skip
"""Every convention by its name."""


def get_convention(name: str) -> BoxConvention:
    """The convention of this name.

    Raises:
        ImaxrayError: there is none.

    Example:
        >>> get_convention("unit").render((256, 128, 512, 384), 1024, 1024)
        '[0.25, 0.12, 0.50, 0.38]'
    """
    if name not in CONVENTIONS:
        raise ImaxrayError(
            f"Expected a box convention, one of {', '.join(CONVENTIONS)}, but got {name}; "
            "name one of these."
        )
    return CONVENTIONS[name]
