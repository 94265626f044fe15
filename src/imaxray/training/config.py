"""What a training run may vary."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Layout = Literal["packed", "separate", "conversation"]
"""packed: the entries of an image share one encoding of it. separate: one sequence an entry, with
the same objective. conversation: one multi-turn chat an image, where later turns see earlier
answers: another objective, so an arm of its own."""

Method = Literal["full", "lora", "connector"]
Tracker = Literal["tensorboard", "wandb"]


class LoraSettings(BaseModel):
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685), as PEFT makes them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(16, ge=1)
    alpha: float = Field(32, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1, description="above 0, layouts differ by its chance")
    targets: str | None = Field(None, description="regex of module names; default: the family's")
    train_connector: bool = Field(False, description="train the connector in full beside them")


class TrainingConfig(BaseModel):
    """A recipe: everything but the data, the model and the seed.

    One optimizer step sees exactly ``entries_per_step`` entries in any layout, on any number of
    processes and however it is cut into batches, so that two arms with the same number of steps
    have seen the same number of entries.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method = Field("full", description="what is trained")
    lora: LoraSettings = LoraSettings()
    entries_per_step: int = Field(64, ge=1, description="over all processes")
    steps: int = Field(400, ge=1, description="optimizer steps")
    epochs: float | None = Field(None, gt=0, description="passes over the entries; overrides steps")
    tokens_per_batch: int | None = Field(
        None, ge=1, description="most tokens of one forward pass; a step takes as many as it needs"
    )
    accumulate: int = Field(1, ge=1, description="at least so many forward passes a step")
    weights: dict[str, float] | None = Field(
        None, description="share of each task in the entries drawn; all tasks named, 0 leaves out"
    )
    temperature: float | None = Field(
        None, gt=0, description="share of a task ∝ (its entries)^(1/T); 1: as they are"
    )
    real_share: float | None = Field(
        None, ge=0, le=1, description="of the entries drawn of a task that has pseudo ones too"
    )
    pseudo_weight: float = Field(
        1.0, gt=0, description="weight of a pseudo entry's loss in the step's mean; a real one's: 1"
    )
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)
    muon_learning_rate: float = Field(2e-3, gt=0, description="of weight matrices, with muon")
    betas: tuple[float, float] = Field(
        (0.9, 0.98),
        description="of AdamW; short runs: 0.999 would remember the first steps too long",
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps with a rising rate")
    weight_decay: float = Field(0.01, ge=0)
    max_gradient_norm: float = Field(1.0, gt=0)
    log_every: int = Field(10, ge=1, description="steps per point of the learning curve")
    save_every: int = Field(200, ge=1, description="steps between resumable checkpoints")
    eval_every: int | None = Field(None, ge=1, description="steps between losses on the val split")
    eval_entries: int = Field(512, ge=1, description="most val entries of one evaluation")
    report_to: tuple[Tracker, ...] = Field((), description="the Trainer's own callbacks")
    threads: int = Field(
        1,
        ge=1,
        description="CPU threads of torch; two that spin on a busy machine can be far slower",
    )
    workers: int = Field(0, ge=0, description="processes that decode images beside training")
    image_cache_mb: int = Field(2048, ge=0, description="prepared images held in memory, a process")
    bf16: bool = Field(False, description="bfloat16 autocast")
    gradient_checkpointing: bool = False
    fsdp: bool = Field(False, description="shard the model over processes (FSDP2) instead of DDP")

    @model_validator(mode="after")
    def _settled(self) -> TrainingConfig:
        if self.weights is not None and self.temperature is not None:
            raise ValueError("weights and temperature exclude each other; give one of them")
        if self.weights is not None and (
            min(self.weights.values(), default=0) < 0 or not sum(self.weights.values()) > 0
        ):
            raise ValueError("weights must not be negative, and one must be above 0")
        if self.real_share is not None and (self.weights or self.temperature):
            raise ValueError(
                "real_share gives tasks their shares among the real entries; leave weights and "
                "temperature out"
            )
        if self.fsdp and self.optimizer == "muon":
            raise ValueError("muon needs whole weight matrices, which fsdp cuts; take adamw")
        return self

    def steps_for(self, entries: int) -> int:
        """Optimizer steps for a train split of so many entries.

        Example:
            >>> TrainingConfig(epochs=2, entries_per_step=64).steps_for(1000)
            32
        """
        if self.epochs is None:
            return self.steps
        return max(1, -int(-self.epochs * entries // self.entries_per_step))
