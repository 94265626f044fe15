"""Computes attention of many prompts to few prefixes; each image's keys are read only once.

Every prompt attends to the prefix of its image and to its own tokens. The two parts are computed
separately, the first with all prompts of an image as queries of one product, and are joined by
their log-sum-exp (as in cascade inference and Hydragen, arXiv:2402.05099). The result is exact, and
the prefix is not copied for each prompt. The implementation is registered with ``transformers``
under :data:`SHARED_PREFIX`; a call without a :class:`Step` in its mask uses the standard ``sdpa``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

SHARED_PREFIX: Final = "imaxray_shared_prefix"
"""Name of the attention implementation."""


@dataclass(frozen=True)
class Step:
    """Holds the inputs of all layers of one kind for a forward pass of R rows with q tokens each.

    Attributes:
        keys: Keys of the prefixes of I images in each layer, (I, H, P, D).
        values: Values of the prefixes of I images in each layer, (I, H, P, D).
        slots: Place of each row in a table of I × K rows, (R,) int64.
        most: Maximum number of rows per image, K.
        prefix: Mask of the visible prefix tokens, bool, broadcasts to (I, 1, K, 1, q, P). None
            means that all are visible.
        own: Mask of the visible ones of a row's own S tokens, bool, (R, 1, 1, q, S).
    """

    keys: list[Tensor]
    values: list[Tensor]
    slots: Tensor
    most: int
    prefix: Tensor | None
    own: Tensor

    def carrier(self) -> Tensor:
        """Return an empty 4-D mask that carries this step through the model.

        Code that does not know about the step fails on the empty mask instead of using it.
        """
        mask = torch.empty((1, 1, 0, 0), dtype=torch.bool, device=self.slots.device)
        mask.step = self  # type: ignore[attr-defined]
        return mask


@contextmanager
def shared_prefix_attention(model: Any) -> Iterator[None]:
    """Use shared-prefix attention in the text model inside the block, then restore its own."""
    before = model.config.get_text_config()._attn_implementation
    model.set_attn_implementation({"text_config": SHARED_PREFIX})
    try:
        yield
    finally:
        model.set_attn_implementation({"text_config": before})


def _attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    step: Step | None = getattr(attention_mask, "step", None)
    if step is None:
        out, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return out, None
    layer: Any = module.layer_idx
    prefix_keys, prefix_values = step.keys[layer], step.values[layer]
    rows, heads, length, width = query.shape
    images, groups = prefix_keys.shape[:2]
    query = query * (width**-0.5 if scaling is None else scaling)
    # Heads that share keys, and the rows of an image, are queries of one matrix product.
    own = query.reshape(rows, groups, -1, width)
    table = own
    if rows != images * step.most:
        table = own.new_zeros((images * step.most, *own.shape[1:])).index_copy(0, step.slots, own)
    table = table.view(images, step.most, *own.shape[1:]).transpose(1, 2)
    table = table.reshape(images, groups, -1, width)

    form = (images, groups, step.most, heads // groups, length, -1)
    far = _part(table, prefix_keys, prefix_values, step.prefix, form)
    far = [  # reshape from images back to rows
        part.reshape(images, groups, step.most, own.shape[2], -1)
        .transpose(1, 2)
        .reshape(images * step.most, groups, own.shape[2], -1)
        for part in far
    ]
    if rows != images * step.most:
        far = [part.index_select(0, step.slots) for part in far]
    near = _part(own, key, value, step.own, (rows, groups, heads // groups, length, -1))
    out = _join(far, near).to(query.dtype)
    return out.reshape(rows, heads, length, -1).transpose(1, 2).contiguous(), None


def _part(
    query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None, form: tuple[int, ...]
) -> list[Tensor]:
    """Return unnormalised output, sum and maximum of a softmax over some of the keys."""
    # a product may have other strides than its shape, and the mask below needs a view
    scores = torch.matmul(query, key.transpose(-1, -2)).contiguous()
    scores = scores if scores.dtype == torch.float64 else scores.float()
    if seen is not None:
        # The value is finite, so that a part without visible keys gets weight 0 and no NaN.
        scores.view(form).masked_fill_(~seen, torch.finfo(scores.dtype).min)
    top = scores.amax(dim=-1, keepdim=True)
    scores = scores.sub_(top).exp_()
    total = scores.sum(dim=-1, keepdim=True)
    return [torch.matmul(scores.to(value.dtype), value).to(scores.dtype), total, top]


def _join(far: list[Tensor], near: list[Tensor]) -> Tensor:
    top = torch.maximum(far[2], near[2])
    a, b = (far[2] - top).exp_(), (near[2] - top).exp_()
    return (far[0] * a + near[0] * b) / (far[1] * a + near[1] * b)


AttentionInterface.register(SHARED_PREFIX, _attend)
AttentionMaskInterface.register(SHARED_PREFIX, sdpa_mask)
