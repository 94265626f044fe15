"""Defines the options for reading or measuring the dynamics of runs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from imaxray.dynamics.probing.entries import ImageSharing


class RunDynamicsConfig(BaseModel):
    """Configures how runs are probed and compared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group: str = Field(
        "all",
        description="Module group of contrasts, correlations and the plot; other tables cover all "
        "modules.",
    )
    split: str = Field("val", description="Split of --data whose entries the probe holds.")
    size: int = Field(252, ge=1, description="Number of entries of each probe.")
    draw: ImageSharing = Field(
        "any",
        description="How the entries of a probe share images: no condition (any), one entry per "
        "image (apart), or whole images (together).",
    )
    seed: int = Field(0, description="Random seed that chooses the entries of a probe.")
    device: str = Field(
        "cpu", description="Device that measures the runs on --data: cpu, cuda, cuda:1 …"
    )
    tokens_per_batch: int | None = Field(
        None,
        ge=1,
        description="Maximum number of tokens per forward pass; default: one pass for the probe.",
    )
    scores: bool = Field(
        False, description="Correlate the dynamics with the runs' final task scores."
    )
    evaluation: str | None = Field(
        None,
        description="Evaluation whose scores are taken, where a run has several: DATASET-SPLIT.",
    )
    level: float = Field(0.95, gt=0, lt=1, description="Confidence level of the intervals.")
