"""A statement is one thing that an answer says about its image, in a form common to all tasks.

===========  =======================  ============================================================
kind         name                     stated by
===========  =======================  ============================================================
measurement  ctr, cpar                calculation; ``value`` is the ratio
grade        edema                    grading; ``value`` is the grade 0-3
label        a finding                findings: 1 if named; 0 if an entry denies it, or if it is not
                                      named by a candidate although entries usually state it
said         a finding                report: 1 if it plainly affirms it, 0 if it plainly denies it
asked        a finding                VQA: "is there X?", "where is X?", "what abnormalities …?"
                                      and ``CTR above 0.5``: "is the heart wider than half …?"
boxed        a finding                REC and REG: a box whose phrase names it; ``value`` is 1
region       null                     REC and REG: phrase and boxes
===========  =======================  ============================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from imaxray.tasks._shared.wording import named, sides

_UPPER: Final = re.compile(r"\b(?:upper|apical|apex|apices)\b")
_LOWER: Final = re.compile(r"\b(?:lower|basal|basilar|bases?|costophrenic|hemidiaphragm)\b")
_SLACK: Final = 0.05  # share of the image side, because patients do not stand exactly in the middle


class Statement(NamedTuple):
    """One statement about an image.

    Attributes:
        kind: Kind of the statement, one of the kinds in the table of this module.
        name: Name of the measure, grade or finding that the statement is about.
        value: Ratio, grade, or 1 for present and 0 for absent.
        phrase: Phrase that describes a region.
        boxes: Boxes of a region, ``[x1, y1, x2, y2]`` in pixels of the original image.
        place: ``fits`` if the boxes lie where the phrase says, ``misses`` if they do not; ``None``
            if this cannot be judged.
    """

    kind: str
    name: str | None
    value: float | None
    phrase: str | None = None
    boxes: list[list[float]] | None = None
    place: str | None = None


def region_statements(
    phrases: Iterable[str], boxes: list[list[float]], size: tuple[int, int] | None
) -> Iterator[Statement]:
    """Yield the statements that phrases and their boxes make.

    Args:
        phrases: Names of what the boxes show.
        boxes: Boxes, ``[x1, y1, x2, y2]`` in pixels of the original image.
        size: Width and height of a frontal image in pixels; ``None`` if sides cannot be judged.
    """
    for phrase in phrases:
        fits = place(phrase, boxes, size)
        yield Statement("region", None, None, phrase, boxes, fits)
        for label in sorted(named(phrase)):
            yield Statement("boxed", label, 1, phrase, boxes, fits)


def place(phrase: str, boxes: list[list[float]], frame: tuple[int, int] | None) -> str | None:
    """Judge whether boxes lie where a phrase says, on a frontal image.

    The patient's right side is on the left of the image. A box misses if it lies completely in the
    opposite half, with a tolerance of 5 % of the image side; it fits if its centre lies in the
    named half. Only phrases that name exactly one side, or either upper or lower, are judged.

    Args:
        phrase: Phrase that may name a side or a height of the chest.
        boxes: Boxes, ``[x1, y1, x2, y2]`` in pixels of the original image.
        frame: Width and height of the image in pixels; ``None`` if the image is not frontal.

    Returns:
        ``misses`` if any box misses, ``fits`` if all boxes fit, else ``None``.
    """
    if frame is None or not boxes:
        return None
    width, height = frame
    # positions are shares of the image side, 0 to 1
    side, verdicts = sides(phrase), []
    low, high = _UPPER.search(phrase.lower()), _LOWER.search(phrase.lower())
    for x1, y1, x2, y2 in boxes:
        across, down = (x1 / width, x2 / width), (y1 / height, y2 / height)
        if len(side) == 1:
            verdicts.append(_half(across, first="right" in side))
        if (low is None) != (high is None):
            verdicts.append(_half(down, first=low is not None))
    if "misses" in verdicts:
        return "misses"
    return "fits" if verdicts and all(v == "fits" for v in verdicts) else None


def _half(extent: tuple[float, float], *, first: bool) -> str | None:
    low, high = extent if first else (1 - extent[1], 1 - extent[0])
    if low > 0.5 + _SLACK:
        return "misses"
    return "fits" if (low + high) / 2 <= 0.5 else None
