"""What decides an annotation, besides model and data."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from imaxray.schema import TASKS, TaskName


class AnnotateConfig(BaseModel):
    """How images are asked, and how answers are written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: tuple[TaskName, ...] = Field(TASKS, description="that images may be asked")
    samples: int = Field(0, ge=0, description="answers drawn beside the greedy one")
    temperature: float = Field(1.0, gt=0, description="of the drawn ones; 1: as the model believes")
    seed: int = Field(0, ge=0)
    round: int = Field(1, ge=1, le=127)
    vqa_per_image: int = Field(2, ge=0)
    rec_per_image: int = Field(3, ge=0)
    reg_per_image: int = Field(3, ge=0)
    max_new_tokens: int = Field(128, ge=1)
    images_per_batch: int = Field(16, ge=1)
    rows_per_batch: int = Field(256, ge=1)
    threads: int = Field(1, ge=1, description="CPU threads of torch; their number decides rounding")
    limit: int | None = Field(None, ge=1, description="train images that are asked, at most")
    calibration_per_task: int | None = Field(
        None, ge=0, description="validation entries of a task that are asked; none: all"
    )
