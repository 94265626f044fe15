"""How far an answer may be from the gold answer and still be right."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

HAIR: Final = 1e-9
"""Whatever binary floats say, a value at the tolerance is within it."""


class Tolerances(BaseModel):
    """How far an answer may be from the gold answer and still teach the right thing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ratio: float = Field(0.05, gt=0, lt=1, description="calculation: greatest absolute error")
    grade: int = Field(0, ge=0, le=3, description="grading: greatest distance of grades")
    findings: float = Field(
        1.0, gt=0, le=1, description="findings: least F1 of the labels that are known; 1: all right"
    )
    report: float = Field(
        0.8, gt=0, le=1, description="report: least F1 of the labels that the labeller reads"
    )
    iou: float = Field(0.5, gt=0, le=1, description="rec: least mean IoU of the matched boxes")
    phrase: float = Field(0.5, gt=0, le=1, description="reg: least token F1 of the phrases")
    words: float = Field(0.5, gt=0, le=1, description="vqa, open questions: least token F1")


DEFAULT: Final = Tolerances()


def f1(one: frozenset[str], other: frozenset[str]) -> float:
    """F1 of two sets, in [0, 1]; two empty sets agree."""
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0
