"""Keys and values: of prefixes, computed once; of the rows' own tokens, in place."""

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
    """The prefixes of a batch's images, padded on the right to one length P.

    Attributes:
        keys: of each layer, (I, H, P, D).
        values: likewise.
        lengths: (I,) int64, true lengths.
        shift: (I,) int64, by which rotary ids run behind (Qwen: an image takes fewer ids than
            tokens); 0 elsewhere.
    """

    def __init__(
        self, keys: list[Tensor], values: list[Tensor], lengths: Tensor, shift: Tensor
    ) -> None:
        self.keys, self.values, self.lengths, self.shift = keys, values, lengths, shift
        self.longest = int(lengths.max())
        self.ragged = int(lengths.min()) < self.longest

    def select(self, images: Tensor) -> Prefixes:
        """Those of some images, padded to the longest of these."""
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
    """Read each image and the tokens before and of it once, by the model's own forward pass.

    Prefixes of equal length go through the model together, so that there is no padding in it.
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
    # full-length layers also where attention slides: later rows cut their own windows
    cache = DynamicCache()
    model(**{**inputs, "use_cache": True, "past_key_values": cache, "logits_to_keep": 1})
    finder = next((m for m in model.modules() if hasattr(m, "rope_deltas")), None)
    if finder is None:
        return cache, torch.zeros(len(prefixes), dtype=torch.int64, device=model.device)
    return cache, finder.rope_deltas.view(-1).to(model.device)


def inputs_of(chat: ChatModel, images: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Image inputs of several images, on the model's device and in its precision."""
    model: Any = chat.model
    return {
        name: value.to(model.device, model.dtype if value.is_floating_point() else None)
        for name, value in chat.join(images).items()
    }


class RowLayer(CacheLayerMixin):  # type: ignore[misc]
    """Own tokens of all rows in one layer, written in place; at most ``capacity`` a row."""

    is_sliding = False

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.length = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make room once the shapes are known."""

        def room(states: Tensor) -> Tensor:
            return states.new_empty((*states.shape[:2], self.capacity, states.shape[3]))

        self.keys, self.values = room(key_states), room(value_states)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Append, and return all there is."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self.length = self.length, self.length + key_states.shape[2]
        self.keys[:, :, start : self.length] = key_states
        self.values[:, :, start : self.length] = value_states
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def select(self, rows: Tensor) -> None:
        """Keep some rows."""
        self.keys = self.keys.index_select(0, rows)
        self.values = self.values.index_select(0, rows)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Keys after the next pass, and where they start."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens so far."""
        return self.length

    def get_max_length(self) -> int:
        """Tokens that fit."""
        return self.capacity


def row_cache(layers: int, capacity: int) -> Any:
    """An empty cache of so many layers."""
    return Cache(layers=[RowLayer(capacity) for _ in range(layers)])
