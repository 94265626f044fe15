"""Defines the options of mini-llava, so that a configuration is read without torch."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

CELL: Final = 32
"""Side length in pixels of the part of an image that one token stands for."""


class MiniConfig(BaseModel):
    """Holds the options of mini-llava, which is assembled from pretrained parts.

    Example:
        >>> MiniConfig().image_tokens
        100
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_size: int = Field(
        default=320,
        ge=64,
        le=4096,
        description="Side length of the model's square input in pixels, a multiple of 32; an image "
        "has (image_size / 32)² tokens.",
    )

    @field_validator("image_size")
    @classmethod
    def _whole_cells(cls, side: int) -> int:
        if side % CELL:
            raise ValueError(f"image_size must be a multiple of {CELL}, but it is {side}")
        return side

    @property
    def image_tokens(self) -> int:
        """Number of tokens of an image."""
        return (self.image_size // CELL) ** 2
