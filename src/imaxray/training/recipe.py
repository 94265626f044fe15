"""Defines a recipe: a training configuration, its model, and how its rows are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from imaxray._common.config import read_yaml, validated
from imaxray._common.defaults import MOST_RATE
from imaxray.configs.builtin import find_config, instead_of, require_kind
from imaxray.errors import ImaxrayError
from imaxray.schema import TaskName
from imaxray.training.config import Layout, Method, TrainingConfig

Precision = Literal["auto", "float32", "bfloat16"]

Attention = Literal["sdpa", "eager", "flex_attention", "flash_attention_2"]
"""Attention implementations by their names in ``transformers``."""

Quantization = Literal["nf4"]


class Recipe(TrainingConfig):
    """Describes a training run except its data; the defaults suit adapters on a trained model.

    The built-in recipes (``imaxray configs list``) have one for each model of the registry.
    """

    model: str = Field(
        description="Model to train: a name that `imaxray models` lists, a repository id, or a "
        "folder."
    )
    revision: str | None = Field(
        default=None, description="Commit or tag of the model on the hub; default: the registry's."
    )
    boxes: str | None = Field(
        default=None,
        description="Convention in which the model writes boxes; needed for models that the "
        "registry does not know.",
    )
    tasks: tuple[TaskName, ...] | None = Field(
        default=None,
        description="Tasks whose entries are trained on, which makes a specialist; can be "
        "repeated; default: all.",
    )
    layout: Layout = Field(
        default="packed",
        description="How entries become sequences: an image's entries share its encoding (packed), "
        "one sequence per entry (separate), or one chat per image (conversation).",
    )
    seed: int = Field(
        default=0, ge=0, description="Random seed of the order of entries and of new weights."
    )
    precision: Precision = Field(
        default="auto", description="Number format of frozen weights; auto keeps the stored format."
    )
    attention: Attention | None = Field(
        default=None,
        description="Attention implementation; default: sdpa where the model has it. Packed rows "
        "need one that takes a mask, which flash_attention_2 does not; flex_attention needs a GPU.",
    )
    quantization: Quantization | None = Field(
        default=None,
        description="Number format of the frozen text model: four bits (nf4), for adapters on a "
        "GPU (QLoRA); default: that of precision.",
    )
    max_image_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of tokens per image, for models that allow to choose it.",
    )
    method: Method = Field(
        default="lora",
        description="Weights that are trained: all (full), adapters (lora), or only the connector "
        "between image tower and text model (connector).",
    )
    epochs: float | None = Field(
        default=1,
        gt=0,
        le=100_000,
        description="Number of passes over the entries; null: as many as steps says.",
    )
    learning_rate: float = Field(
        default=1e-4, gt=0, le=MOST_RATE, description="Highest learning rate."
    )
    betas: tuple[float, float] = Field(
        default=(0.9, 0.999), description="Decay rates of AdamW's moments."
    )

    @model_validator(mode="after")
    def _quantized(self) -> Recipe:
        if self.quantization is not None and self.method != "lora":
            raise ValueError(
                f"quantization {self.quantization} freezes the text model, but method "
                f"{self.method} would save it; use the method lora"
            )
        if self.quantization is not None and self.fsdp:
            raise ValueError(
                "fsdp cannot shard weights of four bits; leave fsdp or quantization out"
            )
        return self

    def training(self) -> TrainingConfig:
        """Return the part of the recipe that :func:`imaxray.training.train` takes."""
        return TrainingConfig(**{name: getattr(self, name) for name in TrainingConfig.model_fields})


def load_recipe(path: str | Path | None = None, **changes: Any) -> Recipe:
    """Read a recipe's YAML, or start from the defaults, and apply ``changes`` that are not None.

    Args:
        path: YAML file, or the name of a built-in recipe (``lingshu-7b``).
        changes: Values of keys, which override those of the file.

    Raises:
        ImaxrayError: If the file is missing, is not YAML, or has an unknown key or a bad value; or
            if no model is named.

    Example:
        >>> recipe = load_recipe(model="lingshu-7b", steps=100)
        >>> recipe.method, recipe.steps, recipe.entries_per_step
        ('lora', 100, 64)
    """
    data: dict[str, Any] = {}
    if path is not None:
        path = find_config(path, "train")
        data = read_yaml(path, what="a recipe", advice=instead_of(path))
        require_kind(data, path, "train")
    given = {key: value for key, value in changes.items() if value is not None}
    if "steps" in given and "epochs" not in given:
        data = {**data, "epochs": None}  # steps of the caller override epochs of the file
    merged = {**data, **given}
    if "model" not in merged:
        raise ImaxrayError(
            "Expected the name of a model, but neither --model nor the recipe names one; "
            "`imaxray models` lists them."
        )
    where = None if path is None else str(path)
    return validated(Recipe, merged, where=where, see="docs/training.md")
