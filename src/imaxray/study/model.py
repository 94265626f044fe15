"""Describes the models of a study, and how each of them is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaxray._common.config import validated
from imaxray.models.mini_config import MiniConfig
from imaxray.models.phantom_config import PhantomConfig
from imaxray.models.tiny_config import TinyConfig
from imaxray.training import Layout, Recipe, TrainingConfig, load_recipe

if TYPE_CHECKING:
    from imaxray.curation import Dataset

PHANTOM: Final = "phantom"
"""Name of the model of a study that names none."""

_OF_RECIPE: Final = (
    "revision", "boxes", "precision", "attention", "quantization", "max_image_tokens",
)  # fmt: skip


class StudyModel(BaseModel):
    """Options of one model of a study.

    Either ``phantom`` or ``tiny`` gives the shape of a model that the study builds with random
    weights, or ``mini`` the options of one that it assembles, or ``model`` names trained weights.
    Keys that are left out are those of the recipe.

    Example:
        >>> StudyModel(model="lingshu-7b", recipe="lingshu-7b").is_built
        False
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str | None = Field(
        default=None,
        description="Trained model: a name that `imaxray models` lists, a repository id, or a "
        "folder; default: the name of this block.",
    )
    phantom: PhantomConfig | None = Field(
        default=None, description="Shape of a phantom model, which the study builds."
    )
    tiny: TinyConfig | None = Field(
        default=None,
        description="Family and shape of a miniature model of a real family, which the study "
        "builds.",
    )
    mini: MiniConfig | None = Field(
        default=None,
        description="Options of mini-llava, which the study assembles from pretrained parts.",
    )
    recipe: str | None = Field(
        default=None,
        description="Recipe of a trained model: a built-in name (`imaxray configs list`) or a YAML "
        "file.",
    )
    revision: str | None = Field(
        default=None, description="Commit or tag of the model on the hub; default: the registry's."
    )
    boxes: str | None = Field(
        default=None,
        description="Convention in which the model writes boxes; needed for models that the "
        "registry does not know.",
    )
    precision: str | None = Field(
        default=None, description="Number format of frozen weights; default: the recipe's."
    )
    attention: str | None = Field(
        default=None, description="Attention implementation of transformers; default: the recipe's."
    )
    quantization: str | None = Field(
        default=None,
        description="Format in which frozen weights are held, such as nf4; default: the recipe's.",
    )
    max_image_tokens: int | None = Field(
        default=None, ge=1, description="Maximum number of tokens per image; default: the recipe's."
    )
    training: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys of `training` that differ for this model.",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> StudyModel:
        kinds = ("model", "phantom", "tiny", "mini")
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give only one of {' and '.join(given)}")
        if self.is_built and (self.recipe or self.revision or self.precision):
            raise ValueError(
                "recipe, revision and precision belong to trained models; a model that the study "
                "builds is trained as `training` says"
            )
        unknown = sorted(self.training.keys() - TrainingConfig.model_fields.keys())
        if unknown:
            raise ValueError(f"training has no key {unknown[0]}")
        return self

    @property
    def is_built(self) -> bool:
        """Whether the study builds the model."""
        return self.shape is not None

    @property
    def shape(self) -> PhantomConfig | TinyConfig | MiniConfig | None:
        """What the study builds the model from; None for trained weights."""
        return self.phantom or self.tiny or self.mini

    def weights(self, name: str) -> str:
        """Return what names the trained weights of the model with this name in the study."""
        return self.model or name

    def recipe_of(
        self,
        weights: str | Path,
        training: TrainingConfig,
        *,
        layout: Layout,
        seed: int,
    ) -> Recipe:
        """Return the recipe of a training of this model.

        Args:
            weights: Folder or name of the model to train.
            training: The study's ``training``; for trained models only the keys that were given
                count, since recipes have defaults of their own.
            layout: How entries become sequences.
            seed: Seed of the order of the entries.

        Raises:
            ImaxrayError: If the recipe does not exist or a key has a bad value.
        """
        own = {key: value for key in _OF_RECIPE if (value := getattr(self, key)) is not None}
        fixed = {**own, "model": str(weights), "layout": layout, "seed": seed}
        if self.is_built:
            keys = {**training.model_dump(mode="json"), **self.training, **fixed}
            return validated(Recipe, keys, see="docs/study.md")
        given = training.model_dump(mode="json", exclude_unset=True)
        return load_recipe(self.recipe, **{**given, **self.training, **fixed})


def steps_of(recipe: Recipe, reference: Dataset) -> int:
    """Return the number of optimizer steps, from the train entries of the reference's dataset.

    All arms take the same number, also where the recipe counts in epochs.
    """
    return recipe.training().steps_for(reference.tables.split("train").height)


def named_models(value: Any) -> Any:
    """Return ``models:`` as a mapping; a list of names stands for models without options."""
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return {name: {} for name in value}
    if isinstance(value, Mapping):
        return {name: {} if block is None else block for name, block in value.items()}
    return value
