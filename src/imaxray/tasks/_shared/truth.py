"""Holds what is exactly true of a synthetic image, from which tasks can be answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TrueFinding:
    """One finding that was drawn into a synthetic image.

    Attributes:
        box: Box of the finding, ``[x1, y1, x2, y2]`` in pixels; ``None`` if the finding has no
            single place.
        wordings: Wordings by which reports and phrases name the finding, in lower case.
    """

    box: list[float] | None
    wordings: frozenset[str]


@dataclass(frozen=True)
class Truth:
    """The true measures, labels and findings of one synthetic image.

    Attributes:
        ratios: Name of a ratio (``ctr``, ``cpar``) → its value; ``None`` if it cannot be measured.
        edema_grade: Grade of pulmonary edema, 0-3.
        labels: Labels that are present; empty if nothing was drawn.
        findings: Findings that were drawn.
    """

    ratios: Mapping[str, float | None]
    edema_grade: int
    labels: frozenset[str]
    findings: Sequence[TrueFinding]
