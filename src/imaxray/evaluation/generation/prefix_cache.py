"""Holds attention keys and values: of prefixes, computed once, and of the rows' own tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin

from imaxray.models import ChatModel, EncodedEntry
from imaxray.packing import collate, model_inputs, separate


class Prefixes:
    """Holds the keys and values of a batch's image prefixes, padded on the right to one length P.

    Attributes:
        keys: Keys of each layer, (I, H, P, D).
        values: Values of each layer, (I, H, P, D).
        lengths: Length of each prefix without padding, (I,) int64.
        shift: Offset of rotary position ids from token positions, (I,) int64. It is not 0 for Qwen,
            where an image takes fewer position ids than tokens.
    """

    def __init__(
        self, keys: list[Tensor], values: list[Tensor], lengths: Tensor, shift: Tensor
    ) -> None:
        self.keys, self.values, self.lengths, self.shift = keys, values, lengths, shift
        self.longest = int(lengths.max())
        self.ragged = int(lengths.min()) < self.longest

    def select(self, images: Tensor) -> Prefixes:
        """Return the prefixes of some images, padded to the longest of them."""
        lengths = self.lengths[images]
        longest = int(lengths.max())
        return Prefixes(
            [keys.index_select(0, images)[:, :, :longest] for keys in self.keys],
            [values.index_select(0, images)[:, :, :longest] for values in self.values],
            lengths,
            self.shift[images],
        )


def prefill(
    chat: ChatModel, prefixes: Sequence[Sequence[int]], images: Sequence[Mapping[str, Tensor]]
) -> Prefixes:
    """Compute keys and values of each prefix once, with the model's own forward pass.

    A prefix holds the tokens before an image and of the image. Consecutive prefixes of equal length
    go through the model together, so that the model sees no padding.
    """
    keys: list[list[Tensor]] = []
    values: list[list[Tensor]] = []
    shifts: list[Tensor] = []
    longest = max(map(len, prefixes))
    numbers = range(len(prefixes))
    for _, run in groupby(numbers, key=lambda k: len(prefixes[k])):
        same = list(run)
        cache, shift = _read(chat, [prefixes[k] for k in same], [images[k] for k in same])
        shifts.append(shift)
        room = (0, 0, 0, longest - len(prefixes[same[0]]))
        keys.append([pad(layer.keys, room) for layer in cache.layers])
        values.append([pad(layer.values, room) for layer in cache.layers])
    device = shifts[0].device
    return Prefixes(
        [torch.cat(layer) for layer in zip(*keys, strict=True)],
        [torch.cat(layer) for layer in zip(*values, strict=True)],
        torch.tensor([len(prefix) for prefix in prefixes], device=device),
        torch.cat(shifts),
    )


def _read(
    chat: ChatModel, prefixes: Sequence[Sequence[int]], images: Sequence[Mapping[str, Tensor]]
) -> tuple[Any, Tensor]:
    model: Any = chat.model
    rows = [separate(EncodedEntry(list(prefix), [])) for prefix in prefixes]
    batch = collate(rows, pad=0).to(model.device)
    inputs = model_inputs(model, batch, inputs_of(chat, images))
    # The cache keeps all positions even in layers with sliding attention, because later rows apply
    # their own windows.
    cache = DynamicCache()
    model(**{**inputs, "use_cache": True, "past_key_values": cache, "logits_to_keep": 1})
    finder = next((m for m in model.modules() if hasattr(m, "rope_deltas")), None)
    if finder is None:
        return cache, torch.zeros(len(prefixes), dtype=torch.int64, device=model.device)
    return cache, finder.rope_deltas.view(-1).to(model.device)


def inputs_of(chat: ChatModel, images: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the joint inputs of several images, on the device and in the model's precision."""
    model: Any = chat.model
    return {
        name: value.to(model.device, model.dtype if value.is_floating_point() else None)
        for name, value in chat.join(images).items()
    }


class RowLayer(CacheLayerMixin):  # type: ignore[misc]
    """Caches the own tokens of all rows in one layer in place, at most ``capacity`` per row."""

    is_sliding = False

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.length = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate memory once the shapes are known."""

        def room(states: Tensor) -> Tensor:
            return states.new_empty((*states.shape[:2], self.capacity, states.shape[3]))

        self.keys, self.values = room(key_states), room(value_states)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Append keys and values, and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self.length = self.length, self.length + key_states.shape[2]
        self.keys[:, :, start : self.length] = key_states
        self.values[:, :, start : self.length] = value_states
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def select(self, rows: Tensor) -> None:
        """Keep the given rows only."""
        self.keys = self.keys.index_select(0, rows)
        self.values = self.values.index_select(0, rows)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return the number of keys after the next pass, and their offset."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Return the number of tokens so far."""
        return self.length

    def get_max_length(self) -> int:
        """Return the maximum number of tokens."""
        return self.capacity


def row_cache(layers: int, capacity: int) -> Any:
    """Return an empty cache with ``layers`` layers."""
    return Cache(layers=[RowLayer(capacity) for _ in range(layers)])
