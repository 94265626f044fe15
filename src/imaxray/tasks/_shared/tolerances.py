"""Tolerances say how far an answer may be from the gold answer and still count as right."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

HAIR: Final = 1e-9
"""Rounding margin, so that a value exactly at the tolerance counts as within it."""


class Tolerances(BaseModel):
    """Tolerances per task within which an answer counts as right."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    ratio: float = Field(
        default=0.05, gt=0, lt=1, description="calculation: maximum absolute error"
    )
    grade: int = Field(
        default=0, ge=0, le=3, description="grading: maximum distance between the grades"
    )
    findings: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="findings: minimum F1 of the labels that the gold answer knows; 1: all right",
    )
    report: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="report: minimum F1 of the labels that the labeller reads",
    )
    iou: float = Field(
        default=0.5, gt=0, le=1, description="rec: minimum mean IoU of the matched boxes"
    )
    phrase: float = Field(
        default=0.5, gt=0, le=1, description="reg: minimum token F1 of the phrases"
    )
    words: float = Field(
        default=0.5, gt=0, le=1, description="vqa, open questions: minimum token F1"
    )


DEFAULT: Final = Tolerances()


def f1(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the F1 of two sets, in [0, 1]; two empty sets have an F1 of 1."""
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0
