"""Defines a recipe: a training configuration, its model, and how its rows are made."""

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
    """Describes a training run except its data; the defaults suit adapters on a trained model.

    ``configs/train`` has one for each model of the registry.
    """

    model: str = Field(description="name in the registry, repository id, or folder of the model")
    revision: str | None = Field(
        None, description="commit or tag of the model; default: that of the registry"
    )
    boxes: str | None = Field(
        None, description="box convention; needed for models that are not in the registry"
    )
    layout: Layout = "packed"
    seed: int = 0
    precision: Precision = Field(
        "auto", description="precision of frozen weights; auto: as they are stored"
    )
    attention: str | None = Field(None, description="attn_implementation of transformers")
    max_image_tokens: int | None = Field(
        None, ge=1, description="maximum number of tokens per image"
    )
    method: Method = "lora"
    epochs: float | None = Field(
        1, gt=0, description="passes over the entries; null: the number of steps is used instead"
    )
    learning_rate: float = Field(1e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)

    def training(self) -> TrainingConfig:
        """Return the part of the recipe that :func:`imaxray.training.train` takes."""
        return TrainingConfig(**{name: getattr(self, name) for name in TrainingConfig.model_fields})


def load_recipe(path: Path | None = None, **changes: Any) -> Recipe:
    """Read a recipe's YAML, or start from the defaults, and apply ``changes`` that are not None.

    Raises:
        ImaxrayError: the file is missing, no YAML, has an unknown key or a bad value, or no model
            is named.
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
        data = {**data, "epochs": None}  # steps of the caller override epochs of the file
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
