"""Defines the options of an export."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaxray.export.conversation import Per
from imaxray.export.images import How
from imaxray.schema import Split


class ExportConfig(BaseModel):
    """Configures an export to another tool's format; not every format uses every field."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    boxes: str | None = Field(
        default=None,
        description="Convention in which boxes are written as text, or the name of a model "
        "(docs/export.md); default: as numbers, where the format has them.",
    )
    per: Per | None = Field(
        default=None,
        description="What a conversation holds: one entry (the default), or all entries of one "
        "image in many turns.",
    )
    splits: tuple[Split, ...] | None = Field(
        default=None,
        description="Splits to export; can be repeated. Default: all splits that have entries.",
    )
    images: How = Field(
        default="path",
        description="How rows name images: where they lie (path), by links in the export (link), "
        "as copies in the export (copy), or as new 8-bit files in the frame that the boxes refer "
        "to (write), which also takes DICOM and 16-bit images.",
    )
    max_turns: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of turns per conversation, with --per image; the other "
        "entries go to further conversations.",
    )
    min_pixels: int | None = Field(
        default=None,
        ge=1,
        description="Smallest area in pixels that the processor of Qwen2.5-VL resizes to.",
    )
    max_pixels: int | None = Field(
        default=None,
        ge=1,
        description="Largest area in pixels that the processor of Qwen2.5-VL resizes to.",
    )
    tokenizer: Path | None = Field(
        default=None,
        description="File tokenizer.json of the model, or the folder that holds it, to count the "
        "tokens of the rows; default: their bytes, which are more.",
    )
    seed: int = Field(
        default=0, ge=0, description="Random seed that decides the order of rows and turns."
    )
    headers: bool = Field(
        default=True, description="Open each image's header to check that other tools can read it."
    )

    @model_validator(mode="after")
    def _fits(self) -> ExportConfig:
        if self.max_turns is not None and self.per != "image":
            raise ValueError("max_turns can only be set with per image")
        return self
