"""Checks, before anything is loaded or trained, that this machine can train as a recipe says."""

from __future__ import annotations

import torch
from transformers.utils import is_flash_attn_2_available

from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel
from imaxray.packing import require_packable, require_packed_mask, use_packed_attention
from imaxray.training.recipe import Recipe

_FLASH = "flash_attention_2"
_FLEX = "flex_attention"


def require_backend(recipe: Recipe) -> None:
    """Check the attention of a recipe, before the model is loaded.

    Raises:
        ImaxrayError: The attention cannot take packed rows, or this machine lacks what it needs.
    """
    if recipe.layout == "packed" and recipe.attention is not None:
        require_packed_mask(recipe.attention)
    if recipe.attention == _FLASH and not is_flash_attn_2_available():
        raise ImaxrayError(
            "Expected the package flash-attn and a GPU that it supports for the attention "
            f"{_FLASH}, but one of them is missing; install it, or use sdpa."
        )
    if recipe.attention == _FLEX and not torch.cuda.is_available():
        raise ImaxrayError(
            f"Expected a GPU for training with the attention {_FLEX}, which has no gradients on a "
            "CPU, but there is none; use sdpa."
        )


def attention_of(recipe: Recipe) -> str | None:
    """Return the attention implementation that a recipe's model is loaded with.

    Packed rows need flex attention in the text model alone, and not every family loads with it as a
    whole, so such a model is loaded with ``sdpa`` and changed by :func:`prepare_attention`.
    """
    packed_flex = recipe.layout == "packed" and recipe.attention == _FLEX
    return "sdpa" if packed_flex else recipe.attention


def prepare_attention(chat: ChatModel, recipe: Recipe) -> None:
    """Set the attention of packed rows, and check that the loaded model can be trained with it.

    Raises:
        ImaxrayError: The model cannot take packed rows, or flash attention cannot take its numbers.
    """
    if recipe.layout == "packed":
        use_packed_attention(chat.model, flex=recipe.attention == _FLEX)
        require_packable(chat.model)
    if recipe.attention == _FLASH and chat.model.dtype == torch.float32 and not recipe.bf16:
        raise ImaxrayError(
            f"Expected numbers of 16 bits for the attention {_FLASH}, but the weights of "
            f"{chat.name} are float32; add --bf16, or set precision: bfloat16."
        )
