"""Defines the shape of a miniature model, so that a configuration is read without torch."""

from __future__ import annotations

from typing import Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

TinyFamily = Literal["gemma3", "internvl", "llava", "llava_onevision", "qwen2_5_vl", "qwen3_vl"]
"""Families that can be built in miniature."""

FAMILIES_IN_MINIATURE: Final[tuple[str, ...]] = get_args(TinyFamily)

HEAD: Final = 16
"""Size of an attention head of every miniature model."""


class TinyConfig(BaseModel):
    """Holds the shape of a miniature model of a real family.

    Example:
        >>> TinyConfig(family="gemma3", width=64).heads
        4
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: TinyFamily = Field(description="Model family, as in `imaxray models`.")
    width: int = Field(
        default=32,
        ge=32,
        le=16_384,
        description="Hidden size of image tower and text model; a multiple of 32.",
    )
    vision_layers: int = Field(
        default=2, ge=2, le=256, description="Number of layers of the image tower."
    )
    text_layers: int = Field(
        default=2, ge=2, le=256, description="Number of layers of the text model."
    )
    image_size: int = Field(
        default=56,
        ge=56,
        le=4032,
        description="Side length of the model's square input in pixels, a multiple of 56; where a "
        "family keeps the shape of an image, the highest number of pixels is its square.",
    )
    vocabulary: int = Field(
        default=256,
        ge=256,
        le=1_000_000,
        description="Number of pieces that the tokenizer has besides its special tokens.",
    )

    @field_validator("width")
    @classmethod
    def _whole_heads(cls, width: int) -> int:
        if width % (2 * HEAD):
            raise ValueError(f"width must be a multiple of {2 * HEAD}, but it is {width}")
        return width

    @field_validator("image_size")
    @classmethod
    def _whole_patches(cls, side: int) -> int:
        if side % 56:
            raise ValueError(f"image_size must be a multiple of 56, but it is {side}")
        return side

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return self.width // HEAD
