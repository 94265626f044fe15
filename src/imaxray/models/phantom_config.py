"""Defines the shape of the phantom model, so that a configuration is read without torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class PhantomConfig(BaseModel):
    """Holds the shape of the phantom model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_size: int = Field(
        default=96, ge=1, le=4096, description="Side length of the model's square input in pixels."
    )
    patch_size: int = Field(
        default=16,
        ge=1,
        le=4096,
        description="Side length of a patch in pixels; an image has (image_size / patch_size)² "
        "tokens.",
    )
    width: int = Field(
        default=128, ge=2, le=16_384, description="Hidden size of image tower and text model."
    )
    heads: int = Field(default=4, ge=1, le=1024, description="Number of attention heads.")
    vision_layers: int = Field(
        default=4, ge=1, le=256, description="Number of layers of the image tower."
    )
    text_layers: int = Field(
        default=2, ge=1, le=256, description="Number of layers of the text model."
    )
    vocabulary: int = Field(
        default=1200,
        ge=260,
        le=1_000_000,
        description="Size of the vocabulary, which is learned from the corpus.",
    )

    @model_validator(mode="after")
    def _fits(self) -> PhantomConfig:
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width must be a multiple of twice the number of heads ({2 * self.heads}), but it "
                f"is {self.width}"
            )
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size must be a multiple of patch_size ({self.patch_size}), but it is "
                f"{self.image_size}"
            )
        return self
