"""Prepares the inputs of each family: masks by kind of layer, position ids by rotary code."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from imaxray.errors import ImaxrayError
from imaxray.packing.attention import PACKED_FLEX, PACKED_SDPA, TOKENS_PER_CALL, pieces_mask
from imaxray.packing.batch import Batch
from imaxray.packing.mask import Visibility, additive, image_blocks

PLAIN = frozenset({"llava", "llava_onevision", "internvl"})
"""Model types with a vision tower before a rotary text model; their image tokens are causal."""

THREE_AXES = frozenset({"qwen2_vl", "qwen2_5_vl", "qwen3_vl"})
"""Model types with rotary ids of time, height and width."""

BOTH_WAYS = frozenset({"gemma3"})
"""Model types whose image tokens attend to each other in both directions."""

PACKABLE = PLAIN | THREE_AXES | BOTH_WAYS
"""Model types whose packed loss and gradient are tested against separate sequences."""

MASKED = ("sdpa", "flex_attention", "eager")
"""Attention implementations of ``transformers`` that take the mask of packed rows."""


def model_inputs(
    model: Any,
    batch: Batch,
    images: Mapping[str, Tensor],
    *,
    tokens_per_call: int = TOKENS_PER_CALL,
) -> dict[str, Any]:
    """Return the arguments of ``model`` for either layout: ``model(**model_inputs(...)).logits``.

    Separate rows get the stock inputs: a 2-D mask, from which the model computes its positions.
    Packed rows get their own masks and position ids. Logits are requested only where an answer
    token follows; they have the shape (M, V), and :func:`entry_losses` reads them.

    Args:
        model: A ``transformers`` image-text model, also inside PEFT, DDP or FSDP wrappers.
        batch: Batch on the model's device.
        images: Image inputs in the order of the placeholders in the rows, e.g. ``pixel_values``.
        tokens_per_call: Minimum number of tokens of packed entries that attend in one call, with
            :func:`use_packed_attention`; it changes the speed, not the result.

    Raises:
        ImaxrayError: The rows are packed, and the family or the attention implementation does not
            support them.
    """
    config = _config(model)
    inputs: dict[str, Any] = {
        "input_ids": batch.input_ids,
        **images,
        "logits_to_keep": batch.predicts,
        "use_cache": False,
    }
    image_token = _image_token(config)
    if not batch.packed:
        inputs["attention_mask"] = batch.valid.long()
        types = (batch.input_ids == image_token).long()
        accepted = _accepted(model)
        for name in ("mm_token_type_ids", "token_type_ids"):
            if name in accepted:
                inputs[name] = types
        return inputs
    require_packable(model)
    inputs["attention_mask"] = _masks(config, batch, image_token, _dtype(model), tokens_per_call)
    if config.model_type in THREE_AXES:
        grid = images.get("image_grid_thw")
        inputs["position_ids"] = _three_axes(model, batch, image_token, grid)
    else:
        inputs["position_ids"] = batch.position_ids
    return inputs


def require_packable(model: Any) -> None:
    """Check that packed rows can go through a model: its family, its layers and its attention code.

    Training calls it before the first step, so that an hour of preparing is not lost.

    Args:
        model: A ``transformers`` image-text model, also inside PEFT, DDP or FSDP wrappers.

    Raises:
        ImaxrayError: The family, a kind of layer or the attention implementation does not support
            packed rows.
    """
    config = _config(model)
    if config.model_type not in PACKABLE:
        raise ImaxrayError(
            f"Expected a model type whose packing is proven ({', '.join(sorted(PACKABLE))}), but "
            f"this model is {config.model_type!r}; train it with the separate layout."
        )
    text = config.get_text_config()
    unknown = _layer_kinds(text) - {"full_attention", "sliding_attention"}
    if unknown:
        raise ImaxrayError(
            f"Expected layers of full or sliding attention, but this model has "
            f"{', '.join(sorted(unknown))}; train it with the separate layout."
        )
    require_packed_mask(text._attn_implementation)


def require_packed_mask(implementation: str) -> None:
    """Check that an attention implementation takes the mask of packed rows.

    Raises:
        ImaxrayError: The implementation takes no mask of its own, such as flash attention.

    Example:
        >>> require_packed_mask("sdpa")
        >>> require_packed_mask("flash_attention_2")
        Traceback (most recent call last):
        ...
        imaxray.errors.ImaxrayError: Expected an attention implementation that takes the mask of \
packed rows (sdpa, flex_attention, eager), but got flash_attention_2, which takes no mask of its \
own; load it with 'sdpa', or use the separate layout.
    """
    if implementation not in (*MASKED, PACKED_SDPA, PACKED_FLEX):
        raise ImaxrayError(
            f"Expected an attention implementation that takes the mask of packed rows "
            f"({', '.join(MASKED)}), but got {implementation}, which takes no mask of its own; "
            "load it with 'sdpa', or use the separate layout."
        )


def _layer_kinds(text: Any) -> set[str]:
    return set(getattr(text, "layer_types", None) or ())


def _masks(
    config: Any, batch: Batch, image_token: int, dtype: torch.dtype, tokens_per_call: int
) -> Any:
    """Return one mask, or one per kind of layer, in the form that the attention code expects."""
    text = config.get_text_config()
    kinds = sorted(_layer_kinds(text))
    blocks = image_blocks(batch.input_ids, image_token) if config.model_type in BOTH_WAYS else None
    window = getattr(text, "sliding_window", None)

    def mask(width: int | None) -> Any:
        seen = Visibility(batch.segments, batch.prefixes, batch.position_ids, blocks, width)
        return _form(seen, batch, text._attn_implementation, dtype, tokens_per_call)

    if "sliding_attention" in kinds:
        return {kind: mask(window if kind == "sliding_attention" else None) for kind in kinds}
    # Mistral has no list of layer kinds: every layer has the window, if there is one
    return mask(None if kinds else window)


def _form(
    seen: Visibility, batch: Batch, implementation: str, dtype: torch.dtype, tokens_per_call: int
) -> Any:
    if implementation == PACKED_SDPA:
        return pieces_mask(batch, seen, tokens_per_call)
    if implementation == "sdpa":
        return seen.dense()[:, None]
    if implementation in ("flex_attention", PACKED_FLEX):
        return seen.block_mask()
    return additive(seen.dense(), dtype)  # eager; require_packable lets no other one through


def _three_axes(model: Any, batch: Batch, image_token: int, grid: Tensor | None) -> Tensor:
    """Return rotary ids (3, B, L): the model's own ids of each prefix, continued by every entry.

    After an image all three axes count on together, so the id of a later token is its position in
    the separate sequence plus the offset that the image's grid causes.
    """
    if grid is None:
        raise ImaxrayError(
            "Expected image_grid_thw among the image inputs of a Qwen model, but it is missing; "
            "prepare images with the model's own processor."
        )
    heads = [(r, g) for r, groups in enumerate(batch.groups) for g in groups]
    ids = torch.zeros((len(heads), max(g.split - g.start for _, g in heads)), dtype=torch.int64)
    ids = ids.to(batch.input_ids.device)
    there = torch.zeros_like(ids)
    for k, (row, group) in enumerate(heads):
        length = group.split - group.start
        ids[k, :length] = batch.input_ids[row, group.start : group.split]
        there[k, :length] = 1
    finder = next(m for m in model.modules() if hasattr(m, "get_rope_index"))
    axes, delta = finder.get_rope_index(
        ids, (ids == image_token).int(), image_grid_thw=grid, attention_mask=there
    )
    positions = batch.position_ids.expand(3, -1, -1).clone()
    for k, (row, group) in enumerate(heads):
        length = group.split - group.start
        positions[:, row, group.start : group.split] = axes[:, k, :length]
        positions[:, row, group.split : group.stop] += delta[k]
    return positions


def _config(model: Any) -> Any:
    return getattr(model, "module", model).config


def _image_token(config: Any) -> int:
    found = getattr(config, "image_token_id", None)
    return int(config.image_token_index if found is None else found)


def _dtype(model: Any) -> torch.dtype:
    dtype: torch.dtype = next(p for p in model.parameters() if p.is_floating_point()).dtype
    return dtype


def _accepted(model: Any) -> frozenset[str]:
    inner = getattr(model, "module", model)
    if hasattr(inner, "get_base_model"):
        inner = inner.get_base_model()
    return frozenset(inspect.signature(inner.forward).parameters)
