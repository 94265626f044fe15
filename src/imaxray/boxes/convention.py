"""Writes boxes as the text of a model, and reads them back: a convention and its frame."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Final

from imaxray.boxes.box import PLACEHOLDER, RUN, Box, clip
from imaxray.boxes.spellings import (
    PLAIN,
    with_bracketed_boxes,
    with_marked_boxes,
    without_percent,
)
from imaxray.geometry import (
    WHOLE,
    Frame,
    Geometry,
    geometry_as_dict,
    geometry_from_dict,
)

BOX_RULES: Final = {
    "box-spelling": "tags, tokens, keys or names of corners that other models write around a box",
    "box-brackets": "four numbers in other brackets, two points, or an answer of four numbers",
    "box-decimals": "100.0 where the convention has integers",
    "box-fractions": "12.5 where the convention has integers, unless no number is above 1",
    "box-tolerance": "a coordinate outside the frame by one unit of the last digit",
}
"""Rules by which boxes are read that do not follow their convention to the letter, with what each
of them accepts."""

_EXTRACT: Final = ("box-spelling", "box-decimals")

_LATER: Final = frozenset({"form", "digits", "bins", "last"})
"""Fields that are left out of manifests where they have their defaults, as before they existed."""

_NO_PLACEHOLDER: Final = "&lt;box&gt;"


@dataclass(frozen=True)
class BoxText:
    """A model's text whose boxes were extracted.

    Attributes:
        text: Text with one ``<box>`` for each box.
        boxes: Boxes in pixels of the original image.
        rules: Names of the rules that were needed to read the boxes, of ``BOX_RULES``.
    """

    text: str
    boxes: list[Box]
    rules: tuple[str, ...]


@dataclass(frozen=True)
class BoxConvention:
    """Describes how a model writes boxes in text: numbers, brackets, and the frame they refer to.

    Scale, order and frame always come from the convention. They are never inferred from the size
    of the numbers.

    Attributes:
        name: Name of the convention on the command line.
        scale: Number that the right and bottom edge of the frame map to: 100 or 1000 for integers
            relative to the frame, 1 for the unit square; ``None`` for pixels of the frame.
        decimals: Number of digits after the decimal point; 0 for integers.
        y_first: Whether the order is ``y1, x1, y2, x2`` instead of ``x1, y1, x2, y2``.
        key: Key that holds the four numbers, where a box is a JSON object (its other keys are
            ignored); ``None`` where a box is a plain list.
        tags: Text before and after the list of one box or of several boxes in a row.
        fence: Text before and after the list of boxes, in an answer that consists of boxes only.
        form: Text of one box with ``{}`` for each of its four numbers, where it is no plain list.
        digits: Number of digits that numbers are filled up to with zeros.
        bins: Whether a number is that of a bin: ``scale`` bins cover the side, numbers go from 0 to
            ``scale - 1``, and a number is read as the middle of its bin.
        last: Highest number, where it is not that of the edge.
        geometry: Geometry that maps original images to the frame. The model's processor
            determines it; see :meth:`seen_through`.
    """

    name: str
    scale: float | None
    decimals: int = 0
    y_first: bool = False
    key: str | None = None
    tags: tuple[str, str] | None = None
    fence: tuple[str, str] | None = None
    form: str | None = None
    digits: int = 0
    bins: bool = False
    last: int | None = None
    geometry: Geometry = WHOLE

    def seen_through(self, geometry: Geometry) -> BoxConvention:
        """Return the same convention in the frame of a model's processor.

        Example:
            >>> from imaxray.boxes import PER_MILLE
            >>> from imaxray.geometry import Letterbox
            >>> padded = PER_MILLE.seen_through(Letterbox())
            >>> PER_MILLE.render((0, 0, 100, 200), 100, 200)
            '[0, 0, 1000, 1000]'
            >>> padded.render((0, 0, 100, 200), 100, 200)
            '[250, 0, 750, 1000]'
        """
        return replace(self, geometry=geometry)

    def resolution(self, width: float, height: float) -> tuple[float, float]:
        """Return how many original pixels one step of the last digit spans, along x and y.

        A box that is rendered and read back moves by at most half a step, which is at most half a
        pixel where a step is at most one pixel. Only a box that is thinner than one step is written
        one step wide; each of its sides moves by at most one step.

        Example:
            >>> from imaxray.boxes import PERCENT
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
            >>> from imaxray.boxes import BOX_2D, PERCENT
            >>> PERCENT.render((256, 128, 512, 384), 1024, 1024)
            '[25, 12, 50, 38]'
            >>> BOX_2D.render((256, 128, 512, 384), 1024, 1024)
            '{"box_2d": [125, 250, 375, 500]}'
        """
        return self._in_tags([self._write(box, width, height)])

    def fill(self, text: str, boxes: Sequence[Box], width: float, height: float) -> str:
        """Replace each ``<box>`` in ``text`` by the next box of ``boxes``.

        A text without boxes is returned unchanged: its ``<box>`` is text (see :func:`split_boxes`).

        Raises:
            ValueError: There are boxes, and the number of placeholders is another one.

        Example:
            >>> from imaxray.boxes import PERCENT
            >>> PERCENT.fill("effusion at <box>", [(256, 128, 512, 384)], 1024, 1024)
            'effusion at [25, 12, 50, 38]'
        """
        if not boxes:
            return text
        count = text.count(PLACEHOLDER)
        if count != len(boxes):
            raise ValueError(
                f"{len(boxes)} boxes for {count} {PLACEHOLDER} placeholders in one text"
            )
        written = [self._write(box, width, height) for box in boxes]
        if self.fence and RUN.fullmatch(text):
            return f"{self.fence[0]}[{', '.join(written)}]{self.fence[1]}"
        rest = iter(written)
        pattern = RUN if self.tags else re.compile(PLACEHOLDER)
        return pattern.sub(
            lambda run: self._in_tags([next(rest) for _ in range(run[0].count(PLACEHOLDER))]), text
        )

    @property
    def tolerance(self) -> float:
        """Return by how much a coordinate may lie outside the frame: one unit of the last digit.

        Such a coordinate is moved to the edge (rule ``box-tolerance``).

        Example:
            >>> from imaxray.boxes import PER_MILLE, UNIT
            >>> PER_MILLE.tolerance, UNIT.tolerance
            (1.0, 0.01)
        """
        return float(10.0**-self.decimals)

    def extract(self, text: str, width: float, height: float) -> tuple[str, list[Box]]:
        """Extract the boxes from a model's ``text``; return text with placeholders, and boxes.

        Only lists that are marked as boxes, or are written as the convention says, are boxes: this
        is :meth:`read` with the rules ``box-spelling`` and ``box-decimals`` only; the others suit
        answers that should be boxes. A bracket without four numbers within the frame, or with
        corners out of order, stays in the text, so that the task cannot parse the answer. One wrong
        box in a list of boxes makes the whole list wrong. A box that reaches into the padding of
        the frame is cut to the image; a box that lies wholly in the padding is wrong. The returned
        boxes are in pixels of the ``width`` × ``height`` original, one per placeholder of the
        returned text.

        Example:
            >>> from imaxray.boxes import PERCENT
            >>> PERCENT.extract("effusion at [25, 12, 50, 38]", 1000, 1000)
            ('effusion at <box>', [(250.0, 120.0, 500.0, 380.0)])
            >>> PERCENT.extract("[50, 12, 25, 38]", 1000, 1000)  # corners in the wrong order
            ('[50, 12, 25, 38]', [])
        """
        found = self.read(text, width, height, _EXTRACT)
        return found.text, found.boxes

    def read(
        self, text: str, width: float, height: float, rules: Collection[str] = tuple(BOX_RULES)
    ) -> BoxText:
        """Extract the boxes as :meth:`extract` does, and name the rules that were needed.

        Other spellings are tried only if no box is written as the convention says.

        Args:
            text: Text of a model.
            width: Width of the original image in pixels.
            height: Height of the original image in pixels.
            rules: Rules that are on, of ``BOX_RULES``.

        Example:
            >>> from imaxray.boxes import PERCENT
            >>> PERCENT.read("<box>(25,12),(50,38)</box>", 1000, 1000)
            BoxText(text='<box>', boxes=[(250.0, 120.0, 500.0, 380.0)], rules=('box-spelling',))
        """
        size = (width, height)
        used: set[str] = set()
        bare, boxes = self._found(text, self._reading, self._one, size, rules, used)
        for rule, plain in self._respelled(text):
            if boxes or rule not in rules:
                continue
            used = {rule}
            said, boxes = self._found(plain, PLAIN, PLAIN, size, rules, used, whole=True)
            bare = said if boxes else bare
        return BoxText(bare, boxes, tuple(rule for rule in BOX_RULES if boxes and rule in used))

    def _respelled(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield the text with its boxes rewritten by each rule that rewrites them."""
        # without the convention's key, the order of the numbers is not sure
        keyed = self.key is not None
        if self.scale is not None:
            text = without_percent(text, self.scale)
        yield "box-spelling", with_marked_boxes(text, y_first=self.y_first, objects=not keyed)
        if not keyed:
            yield "box-brackets", with_bracketed_boxes(text)

    def _found(
        self,
        text: str,
        reading: re.Pattern[str],
        one: re.Pattern[str],
        size: tuple[float, float],
        rules: Collection[str],
        used: set[str],
        whole: bool = False,
    ) -> tuple[str, list[Box]]:
        """Replace the boxes of a text by placeholders, and add the rules that were needed.

        With ``whole``, one wrong box anywhere in the text makes all wrong.
        """
        frame = self.geometry.frame(*size)
        boxes: list[Box] = []
        parts: list[str] = []
        last = 0
        for match in reading.finditer(text):
            needed: set[str] = set()
            found = [
                self._read(numbers, frame, size, rules, needed) for numbers in one.findall(match[0])
            ]
            taken = [box for box in found if box is not None]
            if len(taken) < len(found):
                if whole:
                    return text, []
                continue
            used |= needed
            boxes += taken
            parts += [_literal(text[last : match.start()]), " ".join([PLACEHOLDER] * len(taken))]
            last = match.end()
        return "".join([*parts, _literal(text[last:])]), boxes

    def holds(self, box: Box, width: float, height: float) -> bool:
        """Return whether a part of a box lies in the frame, so that it can be written.

        Example:
            >>> from imaxray.boxes import MAIRA_2
            >>> MAIRA_2.holds((0, 0, 90, 40), 100, 200)  # above the centre crop
            False
        """
        frame = self.geometry.frame(width, height)
        return clip(frame.enter(box), frame.width, frame.height) is not None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for manifests; :meth:`from_dict` reads them back."""
        values = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in _LATER or getattr(self, field.name) != field.default
        }
        return {**values, "geometry": geometry_as_dict(self.geometry)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BoxConvention:
        """Read the values of :meth:`as_dict` back, also after they were stored as JSON.

        Example:
            >>> from imaxray.boxes import PERCENT
            >>> BoxConvention.from_dict(PERCENT.as_dict()) == PERCENT
            True
        """
        pairs = {key: tuple(values[key]) for key in ("tags", "fence") if values.get(key)}
        geometry = geometry_from_dict(values["geometry"])
        return cls(**{**values, **pairs, "geometry": geometry})

    def _edges(self, frame: Frame) -> tuple[float, float]:
        """Return the numbers of the right and the bottom edge of the frame."""
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
        if self.form:
            return self.form.format(
                *(f"{value:0{self.digits}.{self.decimals}f}" for value in order)
            )
        numbers = "[" + ", ".join(f"{value:.{self.decimals}f}" for value in order) + "]"
        return f'{{"{self.key}": {numbers}}}' if self.key else numbers

    def _steps(self, low: float, high: float, edge: float) -> tuple[float, float]:
        """Round two coordinates to the grid of the last digit, and keep them different."""
        unit = 10**self.decimals
        last = int(edge * unit) - self.bins if self.last is None else self.last
        whole = math.floor if self.bins else round
        a, b = (min(max(whole(value * unit), 0), last) for value in (low, high))
        if a == b:  # thinner than a step: move the side that is nearer to the next step
            up = b < last and (a == 0 or high * unit - b >= a - low * unit)
            a, b = (a, b + 1) if up else (a - 1, b)
        return a / unit, b / unit

    def _in_tags(self, written: Sequence[str]) -> str:
        if self.tags is None:
            return " ".join(written)
        return f"{self.tags[0]}[{', '.join(written)}]{self.tags[1]}"

    def _read(
        self,
        numbers: Sequence[str],
        frame: Frame,
        size: tuple[float, float],
        rules: Collection[str],
        used: set[str],
    ) -> Box | None:
        a, b, c, d = map(float, numbers)
        if not self.decimals and any("." in number for number in numbers):
            rule = "box-decimals" if all(n.is_integer() for n in (a, b, c, d)) else "box-fractions"
            if rule not in rules or max(a, b, c, d) <= 1:
                return None  # numbers up to 1 are those of the unit square
            used.add(rule)
        x1, y1, x2, y2 = (b, a, d, c) if self.y_first else (a, b, c, d)
        right, bottom = self._edges(frame)
        inside = clip((x1, y1, x2, y2), right, bottom)
        if inside != (x1, y1, x2, y2):
            beyond = max(-x1, -y1, x2 - right, y2 - bottom)
            if inside is None or "box-tolerance" not in rules or beyond > self.tolerance + 1e-9:
                return None
            used.add("box-tolerance")
            x1, y1, x2, y2 = inside
        wide, high = frame.width / right, frame.height / bottom
        if self.bins:
            middles = (x1 + 0.5, y1 + 0.5, x2 + 0.5, y2 + 0.5)
            box = clip(frame.leave(_scaled(middles, wide, high)), *size)
            if box is not None:
                return box  # else only the outer half of a bin at the edge is beyond the image
        return clip(frame.leave(_scaled((x1, y1, x2, y2), wide, high)), *size)

    @cached_property
    def _one(self) -> re.Pattern[str]:
        """Pattern of one box, with the four numbers as groups."""
        number = r"\s*(-?\d+(?:\.\d+)?)\s*"
        if self.form:
            return re.compile(number.join(map(re.escape, self.form.split("{}"))))
        numbers = r"\[" + ",".join([number] * 4) + r"\]"
        if self.key is None:
            return re.compile(numbers)
        return re.compile(r'\{[^{}]*"' + re.escape(self.key) + r'"\s*:\s*' + numbers + r"[^{}]*\}")

    @cached_property
    def _reading(self) -> re.Pattern[str]:
        """Pattern of the text that placeholders replace: one box, or a tagged list of boxes.

        The tags may be missing, because they are special tokens that some decoders drop. The outer
        bracket of the list may not be missing.
        """
        if self.tags is None:
            return self._one
        one = re.sub(r"\((?!\?)", "(?:", self._one.pattern)
        before, after = (rf"(?:{re.escape(tag)})?" for tag in self.tags)
        return re.compile(rf"{before}\s*\[\s*{one}(?:\s*,\s*{one})*\s*\]\s*{after}")


def _scaled(box: Box, wide: float, high: float) -> Box:
    """Return a box whose coordinates are multiplied by the width and the height of a step."""
    x1, y1, x2, y2 = box
    return x1 * wide, y1 * high, x2 * wide, y2 * high


def _literal(text: str) -> str:
    """Escape each ``<box>`` that the model itself wrote and that stands for no box."""
    return text.replace(PLACEHOLDER, _NO_PLACEHOLDER)
