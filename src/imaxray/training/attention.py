"""Says which attention implementation a recipe asks for, and whether it can train here."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any, Final

import torch

from imaxray.errors import ImaxrayError
from imaxray.models import require_quantization
from imaxray.packing import use_packed_attention
from imaxray.training.recipe import Recipe

_IMPLEMENTATIONS: Final[Mapping[str | None, str | None]] = {
    None: None,
    "sdpa": "sdpa",
    "flash": "flash_attention_2",
    "flex": "sdpa",  # packed rows are then given to flex attention, see attend_as
    "eager": "eager",
}


def implementation_of(recipe: Recipe) -> str | None:
    """Return the name by which transformers knows the attention of a recipe."""
    return _IMPLEMENTATIONS[recipe.attention]


def attend_as(model: Any, recipe: Recipe) -> None:
    """Give packed rows to the attention implementation of a recipe."""
    if recipe.layout == "packed":
        use_packed_attention(model, flex=recipe.attention == "flex")


def require_trainable(recipe: Recipe) -> None:
    """Check that attention and quantization of a recipe can train here, before data are read.

    Raises:
        ImaxrayError: If the attention takes no mask of packed rows, or a package or a GPU that is
            needed is missing.
    """
    if recipe.attention == "flash":
        _require_flash(recipe)
    if recipe.attention == "flex" and recipe.layout == "packed" and not torch.cuda.is_available():
        raise ImaxrayError(
            "Expected a GPU for attention: flex, which has no backward pass on a CPU, but there is "
            "none; set attention: sdpa, which gives the same numbers."
        )
    if recipe.quantization is not None:
        require_quantization()


def _require_flash(recipe: Recipe) -> None:
    if recipe.layout == "packed":
        raise ImaxrayError(
            "Expected an attention implementation that takes the mask of packed rows, but "
            "attention: flash takes no mask of its own; set attention: sdpa or flex, or layout: "
            "separate."
        )
    if not torch.cuda.is_available():
        raise ImaxrayError(
            "Expected a GPU for attention: flash, but there is none; set attention: sdpa."
        )
    if importlib.util.find_spec("flash_attn") is None:
        raise ImaxrayError(
            "Expected the package flash-attn for attention: flash, but it is not installed; "
            "install it, or set attention: sdpa."
        )
    if not recipe.bf16 and recipe.precision != "bfloat16":
        raise ImaxrayError(
            "Expected half precision for attention: flash, which has no other, but the recipe says "
            f"precision: {recipe.precision} and bf16: false; set bf16: true, or attention: sdpa."
        )
