"""Defines the options of an annotation: the prompts, the decoding and the model."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imaxray._common.defaults import MAX_NEW_TOKENS, MOST_NEW_TOKENS, MOST_PROCESSES
from imaxray.evaluation.config import ModelConfig
from imaxray.schema import TaskName, task_names

AnnotationEngine = Literal["local", "ray", "vllm"]
"""``transformers`` on this machine or on a Ray cluster, or vLLM on this machine."""


class AskConfig(BaseModel):
    """The options that, with model and data, determine an annotation: prompts and decoding.

    The identity of an annotation contains exactly these fields, except options of a later version
    that are off, so that annotations of earlier versions still count as finished.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    tasks: tuple[TaskName, ...] = Field(
        default_factory=task_names,
        description="Tasks that the model is prompted for; can be repeated. Default: all.",
    )
    samples: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Number of random answers drawn beside the greedy one, to measure agreement.",
    )
    temperature: float = Field(
        default=1.0,
        gt=0,
        le=100,
        description="Temperature of the random answers; 1 is the model's own.",
    )
    seed: int = Field(default=0, ge=0, description="Random seed of the random answers.")
    round: int = Field(
        default=1, ge=1, le=127, description="Round of the strategy that the answers belong to."
    )
    vqa_per_image: int = Field(default=2, ge=0, description="Number of questions asked per image.")
    rec_per_image: int = Field(
        default=3, ge=0, description="Number of phrases per image that the model must locate."
    )
    reg_per_image: int = Field(
        default=3, ge=0, description="Number of boxes per image that the model must describe."
    )
    top_k: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Number of likely tokens stored for each token of an answer, with their "
        "probabilities, as soft targets of a training; 0 stores none.",
    )
    visual_advantage: bool = Field(
        default=False,
        description="Measure how much more probable the image makes each answer, by one pass "
        "without the image, as a second score beside confidence.",
    )
    max_new_tokens: int = Field(
        default=MAX_NEW_TOKENS,
        ge=1,
        le=MOST_NEW_TOKENS,
        description="Maximum number of tokens per answer; longer answers are cut.",
    )
    images_per_batch: int = Field(
        default=16, ge=1, description="Maximum number of images that are encoded together."
    )
    rows_per_batch: int = Field(
        default=256, ge=1, description="Maximum number of prompts that are answered together."
    )
    threads: int = Field(
        default=1,
        ge=1,
        le=MOST_PROCESSES,
        description="Number of CPU threads per worker; their number decides the rounding.",
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of train images that are asked; default: all.",
    )
    calibration_per_task: int | None = Field(
        default=None,
        ge=0,
        description="Number of validation entries per task that are asked; default: all.",
    )

    def decides(self) -> dict[str, Any]:
        """Return the options that determine the answers, for identities of annotations."""
        settings = self.model_dump(mode="json", include={*AskConfig.model_fields})
        return {name: v for name, v in settings.items() if v or name not in _LATER}


_LATER: Final = ("visual_advantage",)
"""Options of later versions, which are left out of an identity while they are off."""


class AnnotateConfig(AskConfig, ModelConfig):
    """All options of :func:`imaxray.annotate`; by default it prompts for all tasks once."""

    engine: AnnotationEngine = Field(
        default="local",
        description="Engine that writes the answers: transformers on this machine (local), "
        "transformers on a Ray cluster (ray), or vLLM.",
    )
    teachers: dict[TaskName, str] = Field(
        default_factory=dict,
        description="Another model for one task, as TASK=MODEL; can be repeated.",
    )
