"""What is exactly true of a synthetic image, as far as tasks can be answered from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TrueFinding:
    """One finding that was drawn into the image.

    Attributes:
        box: where it lies, ``[x1, y1, x2, y2]`` in pixels; ``None``: it has no one place.
        wordings: how reports and phrases name it, in lower case.
    """

    box: list[float] | None
    wordings: frozenset[str]


@dataclass(frozen=True)
class Truth:
    """What is true of one image.

    Attributes:
        ratios: name of a ratio (``ctr``, ``cpar``) → its value; ``None``: it cannot be measured.
        edema_grade: 0-3.
        labels: labels that are present; none where nothing was drawn.
        findings: what was drawn.
    """

    ratios: Mapping[str, float | None]
    edema_grade: int
    labels: frozenset[str]
    findings: Sequence[TrueFinding]
