"""Defines the options of an evaluation: how to load the model, generate answers and score them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf

from imaxray._defaults import MAX_NEW_TOKENS, RESAMPLES
from imaxray.boxes import BoxConvention
from imaxray.metrics import NORMALISATION, Normalisation
from imaxray.tasks import RULES

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class ModelConfig(BaseModel):
    """Options that say how a model is loaded and where it runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    boxes: str | InstanceOf[BoxConvention] | None = Field(
        default=None,
        description="Convention in which the model writes boxes; needed for models that the "
        "registry does not know.",
    )
    revision: str | None = Field(default=None, description="Commit or tag of the model on the hub.")
    dtype: Dtype = Field(
        default="auto", description="Number format of the weights; auto keeps the stored format."
    )
    device: str = Field(
        default="cpu",
        description="Device that the model runs on: cpu, cuda, cuda:1 …; vLLM chooses its own.",
    )
    max_image_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of tokens per image; default: the processor's.",
    )


class EvaluateConfig(ModelConfig):
    """Options that say how a model is prompted with the entries of a split."""

    split: str = Field(
        default="test", description="Split whose entries the model answers: train, val or test."
    )
    max_new_tokens: int = Field(
        default=MAX_NEW_TOKENS,
        ge=1,
        description="Maximum number of tokens per answer; longer answers are cut.",
    )
    images_per_batch: int = Field(
        default=16, ge=1, description="Maximum number of images that are encoded together."
    )
    rows_per_batch: int = Field(
        default=256, ge=1, description="Maximum number of entries that are answered together."
    )
    engine: Literal["local", "vllm"] = Field(
        default="local", description="Engine that writes the answers: transformers (local) or vLLM."
    )
    normalisation: Normalisation = Field(
        default=NORMALISATION,
        description="How texts are made comparable: radiology (docs/normalisation.md), or squad "
        "for comparisons with published token F1.",
    )


class ScoreConfig(BaseModel):
    """Options that say how predictions are scored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    split: str = Field(
        default="test", description="Split whose entries are scored: train, val or test."
    )
    rules: tuple[str, ...] = Field(
        default=tuple(RULES),
        description="Rules that are applied when an answer is read from its text.",
    )
    normalisation: Normalisation = Field(
        default=NORMALISATION,
        description="How texts are made comparable: radiology (docs/normalisation.md), or squad "
        "for comparisons with published token F1.",
    )
    extras: tuple[str, ...] = Field(
        default=(),
        description="Extra metrics to compute: captions (METEOR, CIDEr) or radiology (RadGraph, "
        "CheXbert, GREEN); can be repeated.",
    )
    truth: Path | None = Field(
        default=None,
        description="Folder `truth` of a phantom; adds the scores that the true answers would get.",
    )
    seed: int = Field(default=0, ge=0, description="Random seed of the bootstrap over patients.")
    resamples: int = Field(default=RESAMPLES, ge=100, description="Number of bootstrap samples.")
    level: float = Field(default=0.95, gt=0, lt=1, description="Confidence level of the intervals.")
