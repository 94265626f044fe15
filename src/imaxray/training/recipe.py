"""A recipe as YAML: a training configuration, the model it is for, and how its rows are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from imaxray._config import read_yaml, validated
from imaxray.configs.builtin import find_config, instead_of
from imaxray.errors import ImaxrayError
from imaxray.training.config import Layout, Method, TrainingConfig

Precision = Literal["auto", "float32", "bfloat16"]


class Recipe(TrainingConfig):
    """Everything about a training run but the data; the defaults fit adapters on a trained model.

    The built-in recipes (``imaxray configs list``) have one for each model of the registry.
    """

    model: str = Field(description="registry name, repository id, or folder")
    revision: str | None = Field(None, description="commit or tag; default: the registry's")
    boxes: str | None = Field(None, description="box convention, for models the registry lacks")
    layout: Layout = "packed"
    seed: int = 0
    precision: Precision = Field("auto", description="of frozen weights; auto: as stored")
    attention: str | None = Field(None, description="transformers' attn_implementation")
    max_image_tokens: int | None = Field(None, ge=1, description="upper limit of an image's tokens")
    method: Method = "lora"
    epochs: float | None = Field(1, gt=0, description="passes over the entries; null: steps rule")
    learning_rate: float = Field(1e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)

    def training(self) -> TrainingConfig:
        """The part that :func:`imaxray.training.train` takes."""
        return TrainingConfig(**{name: getattr(self, name) for name in TrainingConfig.model_fields})


def load_recipe(path: str | Path | None = None, **changes: Any) -> Recipe:
    """Read a recipe's YAML, or start from the defaults, and apply ``changes`` that are not None.

    Args:
        path: a YAML file, or the name of a built-in recipe (``lingshu-7b``).
        changes: values of keys, which override those of the file.

    Raises:
        ImaxrayError: the file is missing, no YAML, has an unknown key or a bad value, or no model
            is named.
    """
    data: dict[str, Any] = {}
    if path is not None:
        path = find_config(path, "train")
        data = read_yaml(path, what="a recipe", advice=instead_of(path))
    given = {key: value for key, value in changes.items() if value is not None}
    if "steps" in given and "epochs" not in given:
        data = {**data, "epochs": None}  # what the caller names wins
    merged = {**data, **given}
    if "model" not in merged:
        raise ImaxrayError(
            "Expected the name of a model, but neither --model nor the recipe names one; "
            "`imaxray models` lists them."
        )
    where = None if path is None else str(path)
    return validated(Recipe, merged, where=where, see="docs/training.md")
