"""A recipe as YAML: a training configuration, the model it is for, and how its rows are made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from imaxray.errors import ImaxrayError
from imaxray.training.config import Layout, Method, TrainingConfig

Precision = Literal["auto", "float32", "bfloat16"]


class Recipe(TrainingConfig):
    """Everything about a training run but the data; the defaults fit adapters on a trained model.

    ``configs/train`` has one for each model of the registry.
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


def load_recipe(path: Path | None = None, **changes: Any) -> Recipe:
    """Read a recipe's YAML, or start from the defaults, and apply ``changes`` that are not None.

    Raises:
        ImaxrayError: the file is missing, no YAML, has an unknown key or a bad value, or no model
            is named.

    Example:
        >>> recipe = load_recipe(model="lingshu-7b", steps=100)
        >>> recipe.method, recipe.steps, recipe.entries_per_step
        ('lora', 100, 64)
    """
    data: Any = {}
    if path is not None:
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ImaxrayError(
                f"Expected a recipe at {path}, but it cannot be read; give a YAML file such as "
                "those of configs/train."
            ) from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ImaxrayError(
                f"Expected YAML in {path}, but it cannot be read: {error}."
            ) from error
        if not isinstance(data, Mapping):
            raise ImaxrayError(
                f"Expected keys and values in {path}, but it holds none; see configs/train."
            )
    given = {key: value for key, value in changes.items() if value is not None}
    if "steps" in given and "epochs" not in given:
        data = {**data, "epochs": None}  # what the caller names wins
    merged = {**data, **given}
    if "model" not in merged:
        raise ImaxrayError(
            "Expected the name of a model, but neither --model nor the recipe names one; "
            "`imaxray models` lists them."
        )
    try:
        return Recipe.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the recipe as a whole"
        raise ImaxrayError(
            f"Expected a valid value for {where}{f' in {path}' if path else ''}, but: "
            f"{first['msg']}; correct it (docs/training.md lists all keys)."
        ) from error
