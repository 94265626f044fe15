"""Defines the shape of the phantom model, so that a configuration is read without torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PhantomConfig(BaseModel):
    """Holds the shape of the phantom model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_size: int = Field(
        default=96, description="Side length of the model's square input in pixels."
    )
    patch_size: int = Field(
        default=16,
        description="Side length of a patch in pixels; an image has (image_size / patch_size)² "
        "tokens.",
    )
    width: int = Field(default=128, description="Hidden size of image tower and text model.")
    heads: int = Field(default=4, description="Number of attention heads.")
    vision_layers: int = Field(default=4, description="Number of layers of the image tower.")
    text_layers: int = Field(default=2, description="Number of layers of the text model.")
    vocabulary: int = Field(
        default=1200, description="Size of the vocabulary, which is learned from the corpus."
    )
