"""Defines the options of a derivation."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class DeriveConfig(BaseModel):
    """The options that decide which rules are used and how many entries they make."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    precision: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Lowest precision of a calibrated rule; a rule that was measured below it is "
        "switched off.",
    )
    judged: int = Field(
        default=10,
        ge=1,
        description="Fewest conclusions that must be compared before a precision decides about a "
        "rule.",
    )
    questions_per_image: int = Field(
        default=8, ge=0, description="Most derived questions of an image."
    )
    only: tuple[str, ...] = Field(
        default=(), description="Rules that are used; default: all that are on."
    )
    without: tuple[str, ...] = Field(
        default=(),
        description="Rules that are not used, or readings of a rule, such as "
        "report-label/Lung Lesion.",
    )
    rules: Path | None = Field(
        default=None, description="YAML file with rules of your own, beside the built-in ones."
    )
    masks: Path | None = Field(
        default=None,
        description="Folder of masks, heart, left_lung and right_lung, each with a PNG named like "
        "the image file; boxes and ratios are made of them.",
    )
