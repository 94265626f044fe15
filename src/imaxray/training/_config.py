"""What a training run may vary."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Layout = Literal["packed", "separate"]


class TrainingConfig(BaseModel):
    """A recipe: everything but the data, the model and the seed.

    One optimizer step sees exactly ``entries_per_step`` entries in either layout, so that two arms
    with the same number of steps have seen the same number of entries.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    entries_per_step: int = Field(64, ge=1)
    steps: int = Field(400, ge=1, description="optimizer steps")
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)
    muon_learning_rate: float = Field(2e-3, gt=0, description="of weight matrices, with muon")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps with a rising rate")
    weight_decay: float = Field(0.01, ge=0)
    max_gradient_norm: float = Field(1.0, gt=0)
    log_every: int = Field(10, ge=1, description="steps per point of the learning curve")
    save_every: int = Field(200, ge=1, description="steps between resumable checkpoints")
    threads: int = Field(
        1,
        ge=1,
        description="CPU threads of torch; two that spin on a busy machine can be far slower",
    )
    bf16: bool = False
