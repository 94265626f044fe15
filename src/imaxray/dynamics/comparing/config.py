"""Defines the options for reading or measuring the dynamics of runs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from imaxray._common.defaults import MOST_RESAMPLES
from imaxray.dynamics.probing.entries import ImageSharing


class RunDynamicsConfig(BaseModel):
    """Configures how runs are probed and compared."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    group: str = Field(
        default="all",
        description="Module group of contrasts, correlations and the plot; other tables cover all "
        "modules.",
    )
    split: str = Field(default="val", description="Split of --data whose entries the probe holds.")
    size: int = Field(default=252, ge=1, description="Number of entries of each probe.")
    draw: ImageSharing = Field(
        default="any",
        description="How the entries of a probe share images: no condition (any), one entry per "
        "image (apart), or whole images (together).",
    )
    seed: int = Field(
        default=0, ge=0, description="Random seed that chooses the entries of a probe."
    )
    device: str = Field(
        default="cpu", description="Device that measures the runs on --data: cpu, cuda, cuda:1 …"
    )
    tokens_per_batch: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of tokens per forward pass; default: one pass for the probe.",
    )
    scores: bool = Field(
        default=False, description="Correlate the dynamics with the runs' final task scores."
    )
    evaluation: str | None = Field(
        default=None,
        description="Evaluation whose scores are taken, where a run has several: DATASET-SPLIT.",
    )
    groups: bool = Field(
        default=False,
        description="Measure what it does to the spectrum that entries of one image are drawn "
        "together (docs/dynamics.md).",
    )
    pool: int = Field(
        default=1000,
        ge=32,
        description="With groups and --data: largest number of entries of a pool, which are drawn "
        "by whole images.",
    )
    draws: int = Field(
        default=200,
        ge=25,
        le=MOST_RESAMPLES,
        description="With groups: number of draws of each way.",
    )
    level: float = Field(default=0.95, gt=0, lt=1, description="Confidence level of the intervals.")
