"""Defines the shape of the phantom model, so that a configuration is read without torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PhantomConfig(BaseModel):
    """Holds the shape of the phantom model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_size: int = Field(96, description="Side of the square input in pixels.")
    patch_size: int = Field(
        16, description="Side of a patch in pixels; image tokens = (size/patch)²."
    )
    width: int = Field(128, description="Hidden size of vision tower and text model.")
    heads: int = 4
    vision_layers: int = 4
    text_layers: int = 2
    vocabulary: int = Field(1200, description="Size of the vocabulary, learned from the corpus.")
