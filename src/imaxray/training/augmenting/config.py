"""Defines how strongly images are augmented; flips are no option, because sides are facts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class AugmentConfig(BaseModel):
    """Configures the augmentation of training images; 0 switches a transform off.

    Lengths are shares of the image's shorter side and grey values are shares of the grey range, so
    that a strength means the same for images of any size. A radiograph is never flipped, and its
    aspect ratio never changes: left and right, and ratios such as the cardiothoracic one, stay
    true.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    probability: float = Field(
        default=1.0, ge=0, le=1, description="Probability that an image is augmented in a step."
    )
    brightness: float = Field(
        default=0.1,
        ge=0,
        le=0.5,
        description="Largest change of the gain; all grey values are multiplied by a factor "
        "between 1 - brightness and 1 + brightness.",
    )
    contrast: float = Field(
        default=0.15,
        ge=0,
        le=0.5,
        description="Largest change of gamma, which is between 1 / (1 + contrast) and "
        "1 + contrast.",
    )
    noise: float = Field(
        default=0.02,
        ge=0,
        le=0.1,
        description="Largest standard deviation of the noise, as a share of the grey range.",
    )
    shift: float = Field(
        default=0.02,
        ge=0,
        le=0.1,
        description="Largest shift in each direction, as a share of the shorter side.",
    )
    rotation: float = Field(
        default=2.0, ge=0, le=10, description="Largest rotation to each side, in degrees."
    )
    scale: float = Field(
        default=0.04,
        ge=0,
        le=0.2,
        description="Largest change of the size, which is multiplied by a factor between "
        "1 / (1 + scale) and 1 + scale; above 1, the edges are cropped.",
    )


def _named(value: Any) -> Any:
    """Return the settings that a word stands for: ``default`` or ``none``."""
    return {"default": {}, "none": None}.get(value, value) if isinstance(value, str) else value


Augment = Annotated[AugmentConfig | None, BeforeValidator(_named)]
"""Settings of the augmentation; ``default`` stands for all defaults, ``none`` for nothing."""
