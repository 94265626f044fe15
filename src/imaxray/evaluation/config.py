"""Defines the options of an evaluation: how to load the model, generate answers and score them."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, model_validator

from imaxray._common.defaults import (
    MAX_NEW_TOKENS,
    MOST_NEW_TOKENS,
    MOST_PROCESSES,
    MOST_RESAMPLES,
    RESAMPLES,
)
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


class ServerConfig(BaseModel):
    """Options of ``--engine openai``: the server, how it is asked, and what may be sent to it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    base_url: str | None = Field(
        default=None,
        description="URL of an OpenAI-compatible chat server, for --engine openai; for example "
        "http://127.0.0.1:8000/v1.",
    )
    api_key_env: str | None = Field(
        default=None,
        description="Name of the environment variable that holds the API key of the server; "
        "default: OPENAI_API_KEY, if it is set.",
    )
    parallel: int = Field(
        default=4, ge=1, le=256, description="Number of requests to the server at a time."
    )
    timeout: float = Field(
        default=300.0, gt=0, le=86_400, description="Time limit of one request in seconds."
    )
    retries: int = Field(
        default=4,
        ge=0,
        le=20,
        description="Number of times that a request is sent again if the server is busy, broken "
        "or not reached; the waits double from one second.",
    )
    max_pixels: int | None = Field(
        default=None,
        ge=28 * 28,
        description="Maximum number of pixels of an image that is sent; default: all pixels, or as "
        "many as the box convention has.",
    )
    seed: int = Field(
        default=0, ge=0, description="Random seed that is sent to the server with each request."
    )
    allow_remote: bool = Field(
        default=False,
        description="Allow a server that is not this machine; images and prompts then leave it.",
    )
    i_may_send_images: bool = Field(
        default=False,
        description="State that the data use agreements of the releases, and of your institution, "
        "let you send their images to this server; needed with --allow-remote unless every "
        "release is open.",
    )


class EvaluateConfig(ModelConfig, ServerConfig):
    """Options that say how a model is prompted with the entries of a split."""

    split: str = Field(
        default="test", description="Split whose entries the model answers: train, val or test."
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
        default=256, ge=1, description="Maximum number of entries that are answered together."
    )
    threads: int = Field(
        default=1,
        ge=1,
        le=MOST_PROCESSES,
        description="Number of CPU threads of torch; on a CPU, their number decides the rounding.",
    )
    engine: Literal["local", "vllm", "openai"] = Field(
        default="local",
        description="Engine that writes the answers: transformers (local), vLLM in this process, "
        "or an OpenAI-compatible chat server (openai), which --base-url names.",
    )
    normalisation: Normalisation = Field(
        default=NORMALISATION,
        description="How texts are made comparable: radiology (docs/normalisation.md), or squad "
        "for comparisons with published token F1.",
    )

    @model_validator(mode="after")
    def _of_one_engine(self) -> EvaluateConfig:
        """Refuse options that the engine would leave without effect."""
        hosted = self.engine == "openai"
        if hosted and self.base_url is None:
            raise ValueError("engine openai needs the URL of its server; add --base-url URL")
        foreign = _LOADING if hosted else tuple(ServerConfig.model_fields)
        for name in foreign:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(
                    f"--{name.replace('_', '-')} has no effect with --engine {self.engine}; "
                    "leave it out"
                )
        return self


_LOADING: Final = (
    "revision", "dtype", "device", "max_image_tokens", "images_per_batch", "rows_per_batch",
    "threads",
)  # fmt: skip
"""Options of a model that imaxray itself loads; a chat server has loaded its own."""


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
    resamples: int = Field(
        default=RESAMPLES, ge=100, le=MOST_RESAMPLES, description="Number of bootstrap samples."
    )
    level: float = Field(default=0.95, gt=0, lt=1, description="Confidence level of the intervals.")
