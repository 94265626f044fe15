"""Defines the configuration of a training run."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Layout = Literal["packed", "separate", "conversation"]
"""How the entries of an image are arranged in rows.

``packed``: the entries of an image share one encoding of the image. ``separate``: every entry is a
sequence of its own, with the same objective. ``conversation``: an image is one multi-turn chat in
which later turns see earlier answers; this is another objective and therefore another arm.
"""

Method = Literal["full", "lora", "connector"]
Tracker = Literal["tensorboard", "wandb"]


class LoraSettings(BaseModel):
    """Configures low-rank adapters (LoRA; Hu et al. 2021, arXiv:2106.09685) of PEFT."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(16, ge=1)
    alpha: float = Field(32, gt=0)
    dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout; above 0, random dropout makes layouts differ"
    )
    targets: str | None = Field(
        None, description="regular expression of module names; default: that of the model family"
    )
    train_connector: bool = Field(
        False, description="train the connector in full, in addition to the adapters"
    )


class TrainingConfig(BaseModel):
    """Holds all settings of a training run except the data, the model and the seed.

    One optimizer step sees exactly ``entries_per_step`` entries, for any layout, any number of
    processes and any division into batches. Two arms with the same number of steps have therefore
    seen the same number of entries.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method = Field("full", description="which part of the model is trained")
    lora: LoraSettings = LoraSettings()
    entries_per_step: int = Field(
        64, ge=1, description="entries per optimizer step, over all processes"
    )
    steps: int = Field(400, ge=1, description="optimizer steps")
    epochs: float | None = Field(None, gt=0, description="passes over the entries; overrides steps")
    tokens_per_batch: int | None = Field(
        None, ge=1, description="maximum tokens per forward pass; a step runs as many as it needs"
    )
    accumulate: int = Field(1, ge=1, description="minimum number of forward passes per step")
    weights: dict[str, float] | None = Field(
        None, description="share of each task in the entries drawn; name all tasks (0: left out)"
    )
    temperature: float | None = Field(
        None,
        gt=0,
        description="share of a task ∝ (number of its entries)^(1/T); 1: as in the entries",
    )
    real_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of real entries in those drawn of a task that also has pseudo entries",
    )
    pseudo_weight: float = Field(
        1.0, gt=0, description="weight of a pseudo entry in the mean loss; a real one has weight 1"
    )
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)
    muon_learning_rate: float = Field(
        2e-3, gt=0, description="learning rate of weight matrices with the optimizer muon"
    )
    betas: tuple[float, float] = Field(
        (0.9, 0.98),
        description="betas of AdamW; in short runs, 0.999 would remember the first steps too long",
    )
    warmup: float = Field(
        0.05, ge=0, lt=1, description="share of the steps in which the learning rate rises"
    )
    weight_decay: float = Field(0.01, ge=0)
    max_gradient_norm: float = Field(1.0, gt=0)
    log_every: int = Field(10, ge=1, description="steps per point of the learning curve")
    save_every: int = Field(200, ge=1, description="steps between resumable checkpoints")
    eval_every: int | None = Field(
        None, ge=1, description="steps between evaluations of the loss on the val split"
    )
    eval_entries: int = Field(512, ge=1, description="maximum number of val entries per evaluation")
    report_to: tuple[Tracker, ...] = Field(
        (), description="experiment trackers that the Trainer reports to"
    )
    threads: int = Field(
        1,
        ge=1,
        description="CPU threads of torch; on a busy machine, two can be far slower than one",
    )
    workers: int = Field(0, ge=0, description="processes that decode images during training")
    image_cache_mb: int = Field(
        2048, ge=0, description="memory for prepared images, in MiB per process"
    )
    bf16: bool = Field(False, description="bfloat16 autocast")
    gradient_checkpointing: bool = False
    fsdp: bool = Field(False, description="shard the model over processes (FSDP2) instead of DDP")

    @model_validator(mode="after")
    def _settled(self) -> TrainingConfig:
        if self.weights is not None and self.temperature is not None:
            raise ValueError("weights and temperature exclude each other; give only one of them")
        if self.weights is not None and (
            min(self.weights.values(), default=0) < 0 or not sum(self.weights.values()) > 0
        ):
            raise ValueError("weights must not be negative, and at least one must be above 0")
        if self.real_share is not None and (self.weights or self.temperature):
            raise ValueError(
                "real_share gives each task its share among the real entries; remove weights and "
                "temperature"
            )
        if self.fsdp and self.optimizer == "muon":
            raise ValueError("muon needs whole weight matrices, which fsdp shards; use adamw")
        return self

    def steps_for(self, entries: int) -> int:
        """Return the number of optimizer steps for a train split of ``entries`` entries."""
        if self.epochs is None:
            return self.steps
        return max(1, -int(-self.epochs * entries // self.entries_per_step))
