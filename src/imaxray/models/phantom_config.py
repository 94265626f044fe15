"""Defines the shape of the phantom model, so that a configuration is read without torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PhantomConfig(BaseModel):
    """Holds the shape of the phantom model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_size: int = Field(96, description="pixels a side of the model's square input")
    patch_size: int = Field(
        16, description="pixels a side of a patch; image tokens = (size/patch)²"
    )
    width: int = Field(128, description="hidden size of tower and text model")
    heads: int = 4
    vision_layers: int = 4
    text_layers: int = 2
    vocabulary: int = Field(1200, description="tokenizer size, learned from the corpus")
