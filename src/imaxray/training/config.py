"""Defines the configuration of a training run."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaxray._common.defaults import MOST_ENTRIES_PER_STEP, MOST_PROCESSES, MOST_RATE, MOST_STEPS
from imaxray.training.augmenting.config import Augment

Layout = Literal["packed", "separate", "conversation"]
"""How the entries of an image are arranged in rows.

``packed``: the entries of an image share one encoding of the image. ``separate``: every entry is a
sequence of its own, with the same objective. ``conversation``: an image is one multi-turn chat in
which later turns see earlier answers; this is another objective and therefore another arm.
"""

Method = Literal["full", "lora", "connector"]
Tracker = Literal["tensorboard", "wandb"]
_Decay = Annotated[float, Field(ge=0, lt=1)]


class LoraSettings(BaseModel):
    """Configures low-rank adapters (LoRA; Hu et al. 2021, arXiv:2106.09685) of PEFT."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rank: int = Field(default=16, ge=1, le=65_536, description="Rank of the adapters.")
    alpha: float = Field(
        default=32,
        gt=0,
        le=1_000_000,
        description="Scale of the adapters; their output is multiplied by alpha / rank.",
    )
    dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Dropout of the adapters; above 0, layouts differ by chance.",
    )
    targets: str | None = Field(
        default=None,
        description="Regular expression of the modules that get adapters; default: the family's.",
    )
    train_connector: bool = Field(
        default=False, description="Train the connector in full beside the adapters."
    )
    connector_steps: int = Field(
        default=0,
        ge=0,
        description="Number of first steps in which only the connector is trained, for a model "
        "whose connector is new; needs train_connector.",
    )

    @model_validator(mode="after")
    def _has_connector(self) -> LoraSettings:
        if self.connector_steps and not self.train_connector:
            raise ValueError("connector_steps needs train_connector: true")
        return self


class TrainingConfig(BaseModel):
    """Holds all settings of a training run except the data, the model and the seed.

    One optimizer step sees exactly ``entries_per_step`` entries, for any layout, any number of
    processes and any division into batches. Two arms with the same number of steps have therefore
    seen the same number of entries.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    method: Method = Field(
        default="full",
        description="Weights that are trained: all (full), adapters (lora), or only the connector "
        "between image tower and text model (connector).",
    )
    lora: LoraSettings = Field(default=LoraSettings(), description="Settings of the adapters.")
    entries_per_step: int = Field(
        default=64,
        ge=1,
        le=MOST_ENTRIES_PER_STEP,
        description="Number of entries per optimizer step, over all processes.",
    )
    steps: int = Field(default=400, ge=1, le=MOST_STEPS, description="Number of optimizer steps.")
    epochs: float | None = Field(
        default=None,
        gt=0,
        le=100_000,
        description="Number of passes over the entries; overrides steps.",
    )
    tokens_per_batch: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of tokens per forward pass, as memory allows; a step makes as "
        "many passes as it needs.",
    )
    accumulate: int = Field(
        default=1, ge=1, description="Minimum number of forward passes per optimizer step."
    )
    weights: dict[str, float] | None = Field(
        default=None,
        description="Share of each task in the entries drawn, as TASK=SHARE for every task; 0 "
        "leaves a task out.",
    )
    temperature: float | None = Field(
        default=None,
        gt=0,
        description="Temperature T of task sampling: a task's share is proportional to its number "
        "of entries to the power 1/T; 1 keeps the shares of the dataset.",
    )
    task_shares: Literal["all", "real"] = Field(
        default="all",
        description="Entries that a task's share is taken from: all, or real, so that a task of "
        "which many entries were derived does not crowd out the others.",
    )
    real_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of entries that no model answered among the drawn entries of a task "
        "that also has pseudo ones; implies task_shares: real.",
    )
    target: Literal["hard", "soft"] = Field(
        default="hard",
        description="What a pseudo entry is trained towards: the tokens of its answer (hard), or "
        "the annotator's distribution over tokens where the dataset has it (soft).",
    )
    soft_temperature: float = Field(
        default=1.0, gt=0, le=100, description="Temperature of the distributions of target soft."
    )
    pseudo_weight: float = Field(
        default=1.0,
        gt=0,
        le=1000,
        description="Weight of a pseudo entry's loss in the mean of a step; a real entry has 1.",
    )
    augment: Augment = Field(
        default=None,
        description="Augmentation of the training images: default, none, or, in a file, the "
        "strength of each transform; default: none.",
    )
    optimizer: Literal["adamw", "muon"] = Field(default="adamw", description="Optimizer.")
    learning_rate: float = Field(
        default=1e-3, gt=0, le=MOST_RATE, description="Highest learning rate."
    )
    muon_learning_rate: float = Field(
        default=2e-3,
        gt=0,
        le=MOST_RATE,
        description="Highest learning rate of weight matrices, with muon.",
    )
    betas: tuple[_Decay, _Decay] = Field(
        default=(0.9, 0.98),
        description="Decay rates of AdamW's moments; in short runs 0.999 would remember the first "
        "steps too long.",
    )
    warmup: float = Field(
        default=0.05, ge=0, lt=1, description="Share of the steps in which the rate rises."
    )
    final_rate: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Learning rate at the end, as share of the highest one; a stage that another "
        "one follows loses less if its rate does not fall to 0.",
    )
    weight_decay: float = Field(default=0.01, ge=0, description="Weight decay.")
    max_gradient_norm: float = Field(
        default=1.0, gt=0, description="Norm that gradients are clipped to."
    )
    average: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Decay of a moving average of the trained weights, e.g. 0.99; the run then "
        "measures the validation loss of this average and saves it. Default: the last weights are "
        "saved.",
    )
    log_every: int = Field(
        default=10, ge=1, description="Number of steps per point of the learning curve."
    )
    save_every: int = Field(
        default=200,
        ge=1,
        description="Number of steps between checkpoints, from which a stopped run continues.",
    )
    eval_every: int | None = Field(
        default=None,
        ge=1,
        description="Number of steps between measurements of the validation loss; default: none.",
    )
    eval_entries: int = Field(
        default=512, ge=1, description="Maximum number of validation entries per measurement."
    )
    report_to: tuple[Tracker, ...] = Field(
        default=(), description="Trackers that the losses are sent to."
    )
    threads: int = Field(
        default=1,
        ge=1,
        le=MOST_PROCESSES,
        description="Number of CPU threads of torch; on a busy machine, two can be far slower than "
        "one.",
    )
    workers: int = Field(
        default=0,
        ge=0,
        le=MOST_PROCESSES,
        description="Number of processes that decode images beside training.",
    )
    image_cache_mb: int = Field(
        default=2048, ge=0, description="Memory for prepared images, in MB per process."
    )
    bf16: bool = Field(
        default=False, description="Compute in bfloat16 where that is safe (autocast)."
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Recompute activations in the backward pass, which saves memory."
    )
    fsdp: bool = Field(
        default=False,
        description="Shard the model over the processes (FSDP2) instead of copying it (DDP).",
    )

    @model_validator(mode="after")
    def _settled(self) -> TrainingConfig:
        if self.weights is not None and self.temperature is not None:
            raise ValueError("weights and temperature exclude each other; give only one of them")
        if self.weights is not None and (
            min(self.weights.values(), default=0) < 0
            or not 0 < sum(self.weights.values()) < math.inf
        ):
            raise ValueError("weights must not be negative, and at least one must be above 0")
        by_real = self.real_share is not None or self.task_shares == "real"
        if by_real and (self.weights or self.temperature):
            raise ValueError(
                "real_share and task_shares: real give each task its share among the real entries; "
                "remove weights and temperature"
            )
        if self.fsdp and self.optimizer == "muon":
            raise ValueError("muon needs whole weight matrices, which fsdp shards; use adamw")
        return self

    def steps_for(self, entries: int) -> int:
        """Return the number of optimizer steps for a train split of ``entries`` entries.

        Example:
            >>> TrainingConfig(epochs=2, entries_per_step=64).steps_for(1000)
            32
        """
        if self.epochs is None:
            return self.steps
        return max(1, -int(-self.epochs * entries // self.entries_per_step))
