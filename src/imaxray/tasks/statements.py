"""What an answer states about its image, in a form in which answers of all tasks compare.

===========  =======================  ============================================================
kind         name                     stated by
===========  =======================  ============================================================
measurement  ctr, cpar                calculation; ``value`` is the ratio
grade        edema                    grading; ``value`` is the grade 0-3
label        a finding                findings: 1 named; 0 denied (by an entry), or not named though
                                      the dataset's findings usually state it (a candidate)
said         a finding                report, as plainly said: 1 or 0
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

from imaxray.tasks.wording import named, sides

_UPPER: Final = re.compile(r"\b(?:upper|apical|apex|apices)\b")
_LOWER: Final = re.compile(r"\b(?:lower|basal|basilar|bases?|costophrenic|hemidiaphragm)\b")
_SLACK: Final = 0.05  # of the image: patients do not stand in the very middle


class Statement(NamedTuple):
    """One statement.

    Attributes:
        kind: one of the kinds above.
        name: what it is about.
        value: a ratio, a grade, or 1 for present and 0 for absent.
        phrase: of a region.
        boxes: of a region, pixels of the original image.
        place: ``fits`` or ``misses``: whether the boxes lie where the phrase says.
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
    """What boxes with their phrases state.

    Args:
        phrases: names of what the boxes show.
        boxes: pixels of the original image.
        size: width and height of a frontal image in pixels; ``None``: sides cannot be judged.
    """
    for phrase in phrases:
        fits = place(phrase, boxes, size)
        yield Statement("region", None, None, phrase, boxes, fits)
        for label in sorted(named(phrase)):
            yield Statement("boxed", label, 1, phrase, boxes, fits)


def place(phrase: str, boxes: list[list[float]], frame: tuple[int, int] | None) -> str | None:
    """Whether boxes lie where a phrase says, on a frontal image.

    The patient's right lies on the left of the image. A box misses where it lies wholly on the
    other half, less a slack of 5 %; it fits where its middle lies on the right half. Only the
    sides of phrases that name one, and upper and lower, are judged.
    """
    if frame is None or not boxes:
        return None
    width, height = frame
    # the part of the image, 0 to 1, that a box must reach into
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
