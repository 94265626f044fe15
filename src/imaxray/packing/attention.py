"""Computes attention over packed rows without pairs of tokens that never see each other.

The cost of a dense mask over a row grows with the square of its length, and most of it is spent on
tokens that never see each other, because they belong to different entries or different images.
Here every prefix attends to itself alone, and every run of a few entries attends to its own prefix
and to itself. Each piece is a call of the stock ``sdpa`` function.

The function is registered with ``transformers`` under :data:`PACKED_SDPA`. Inputs that are not
packed rows (2-D masks, generation) go to the stock code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.flex_attention import flex_attention_forward
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from imaxray.packing.batch import Batch
from imaxray.packing.layout import Group
from imaxray.packing.mask import Visibility

PACKED_SDPA: Final = "packed_sdpa"
"""Name of the attention implementation that calls ``sdpa`` in pieces."""

PACKED_FLEX: Final = "packed_flex"
"""Name of the implementation by flex attention with block masks of 128 x 128; training with it
needs a GPU."""

TOKENS_PER_CALL: Final = 64
"""Minimum number of tokens of neighbouring entries in one attention call.

Smaller runs need more calls, and larger runs compute more pairs that never see each other."""


class AttentionPiece(NamedTuple):
    """Holds consecutive queries of a row, and describes the keys to which they attend.

    Attributes:
        length: Number of queries (tokens).
        prefix: Index of the row's piece whose keys the queries attend to beside their own keys;
            ``None``: their own keys only.
        mask: (1, 1, length, keys) bool, with the keys of the prefix first; ``None``: plain causal.
        padding: Whether the piece is padding, which attends to nothing and which no query sees.
    """

    length: int
    prefix: int | None = None
    mask: Tensor | None = None
    padding: bool = False


def use_packed_attention(model: Any, *, flex: bool | None = None) -> None:
    """Make the text model skip pairs of tokens that never see each other in packed rows.

    The result equals that of a dense mask up to rounding. Only a model that was loaded with
    ``sdpa`` is changed; a model with another attention implementation is left as it is. A saved
    model does not record the change.

    Args:
        model: A ``transformers`` model, also inside PEFT or DDP wrappers.
        flex: Whether to use :data:`PACKED_FLEX` instead of :data:`PACKED_SDPA`. If None, a model
            that uses one of them keeps it, and another model gets :data:`PACKED_SDPA`.
    """
    inner = getattr(model, "module", model)
    now = inner.config.get_text_config()._attn_implementation
    if now == "sdpa" or (flex is not None and now in (PACKED_SDPA, PACKED_FLEX)):
        inner.set_attn_implementation({"text_config": PACKED_FLEX if flex else PACKED_SDPA})


def pieces_mask(batch: Batch, seen: Visibility, tokens_per_call: int = TOKENS_PER_CALL) -> Tensor:
    """Return an empty 4-D mask that carries the pieces through the model to the attention code.

    Its size is 0, so that attention code which does not know the pieces fails instead of attending
    to everything.

    Args:
        batch: Packed rows.
        seen: Rule that decides which tokens may attend to which.
        tokens_per_call: Minimum number of tokens of neighbouring entries in one attention call.
    """
    carrier = torch.empty((1, 1, 0, 0), dtype=torch.bool, device=batch.input_ids.device)
    segments = batch.segments.tolist()
    carrier.pieces = [  # type: ignore[attr-defined]
        list(_pieces(seen, number, row, segments[number], tokens_per_call))
        for number, row in enumerate(batch.groups)
    ]
    return carrier


def _pieces(
    seen: Visibility,
    row: int,
    groups: Sequence[Group],
    segments: list[int],
    tokens_per_call: int,
) -> Iterator[AttentionPiece]:
    plain = seen.blocks is None and seen.window is None
    number, end = 0, 0
    for group in groups:
        prefix = slice(group.start, group.split)
        length = group.split - group.start
        mask = None if plain else seen.part(row, prefix, prefix)[None, None]
        yield AttentionPiece(length, mask=mask)
        runs = list(_runs(segments, group, tokens_per_call))
        for run in runs:
            mask = torch.cat([seen.part(row, run, prefix), seen.part(row, run, run)], dim=1)
            yield AttentionPiece(run.stop - run.start, number, mask[None, None])
        number += 1 + len(runs)
        end = group.stop
    if end < len(segments):
        yield AttentionPiece(len(segments) - end, padding=True)


def _runs(segments: list[int], group: Group, least: int) -> Iterator[slice]:
    """Cut a group's entries, at borders between them, into runs of at least ``least`` tokens."""
    begin = group.split
    for place in range(group.split + 1, group.stop):
        if segments[place] != segments[place - 1] and place - begin >= least:
            yield slice(begin, place)
            begin = place
    if begin < group.stop:
        yield slice(begin, group.stop)


def _packed_sdpa(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    pieces: list[list[AttentionPiece]] | None = getattr(attention_mask, "pieces", None)
    if pieces is None:
        out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return out, None
    kwargs.pop("is_causal", None)
    rows = []
    for number, row in enumerate(pieces):
        lengths = [piece.length for piece in row]
        # split, not sliced, so that the gradients of the parts are joined only once
        queries, keys, values = (
            torch.split(states[number : number + 1], lengths, dim=2)
            for states in (query, key, value)
        )
        parts = []
        for piece, q, k, v in zip(row, queries, keys, values, strict=True):
            if piece.padding:
                parts.append(q.new_zeros((1, q.shape[2], q.shape[1], v.shape[3])))
                continue
            if piece.prefix is not None:
                k = torch.cat([keys[piece.prefix], k], dim=2)
                v = torch.cat([values[piece.prefix], v], dim=2)
            causal = piece.mask is None
            part, _ = sdpa_attention_forward(
                module, q, k, v, piece.mask, is_causal=causal, **kwargs
            )
            parts.append(part)
        rows.append(torch.cat(parts, dim=1))
    return torch.cat(rows), None


def _packed_flex(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    stock = sdpa_attention_forward
    if isinstance(attention_mask, BlockMask):
        stock = flex_attention_forward
    out, _ = stock(module, query, key, value, attention_mask, **kwargs)
    return out, None


for _name, _function in ((PACKED_SDPA, _packed_sdpa), (PACKED_FLEX, _packed_flex)):
    AttentionInterface.register(_name, _function)
    AttentionMaskInterface.register(_name, sdpa_mask)
