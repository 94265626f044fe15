"""Who may see whom: one rule, as a dense mask or as a predicate for block masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Visibility:
    """Token i may look at token j iff three things hold.

    * j is in i's own segment or in the prefix of i's image;
    * ``pos_i >= pos_j``, or both are tokens of one image that is seen both ways (Gemma 3);
    * ``pos_j > pos_i - window``, where a layer has a sliding window.

    Positions are those of the *separate* sequences, so a window reaches as far back as it would
    there; packed indices say nothing about distance. The order of the last two is that of
    ``transformers``: window and (causal or image), not (window and causal) or image.

    Attributes:
        segments: (B, L) int64; -1 on padding, which sees padding only, so no softmax is empty.
        prefixes: (B, L) int64, segment of the prefix of the token's image; -1 on padding.
        positions: (B, L) int64, positions in the separate sequences.
        blocks: (B, L) int64, number of the image block, -1 on text; ``None``: images are causal.
        window: width of the sliding window; ``None``: all of the past.
    """

    segments: Tensor
    prefixes: Tensor
    positions: Tensor
    blocks: Tensor | None = None
    window: int | None = None

    def dense(self) -> Tensor:
        """The whole mask, (B, L, L) bool."""
        return self._rule(
            lambda values: values[:, :, None],
            lambda values: values[:, None, :],
        )

    def part(self, row: int, query: slice, key: slice) -> Tensor:
        """The mask of some queries of one row against some of its keys, (Q, K) bool."""
        return self._rule(
            lambda values: values[row, query, None],
            lambda values: values[row, None, key],
        )

    def predicate(self) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """A ``mask_mod`` of flex attention: may ``query`` look at ``key``?"""

        def mask_mod(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            del head  # all heads are alike
            return self._rule(
                lambda values: values[batch, query],
                lambda values: values[batch, key],
            )

        return mask_mod

    def block_mask(self) -> Any:
        """A ``BlockMask`` for flex attention, compressed to blocks of 128 x 128."""
        from torch.nn.attention.flex_attention import create_block_mask

        rows, length = self.segments.shape
        device = self.segments.device
        return create_block_mask(
            self.predicate(),
            rows,
            None,
            length,
            length,
            device=str(device),
            _compile=device.type != "cpu",
        )

    def _rule(self, of_query: Any, of_key: Any) -> Tensor:
        inside = of_query(self.segments) == of_key(self.segments)
        seen: Tensor = inside | (of_query(self.prefixes) == of_key(self.segments))
        past: Tensor = of_query(self.positions) >= of_key(self.positions)
        if self.blocks is not None:
            block = of_query(self.blocks)
            past = past | ((block == of_key(self.blocks)) & (block >= 0))
        if self.window is not None:
            past = past & (of_key(self.positions) > of_query(self.positions) - self.window)
        return seen & past


def image_blocks(ids: Tensor, image_token: int) -> Tensor:
    """Number each run of image tokens in its row, -1 elsewhere; (B, L) int64."""
    image = ids == image_token
    before = torch.nn.functional.pad(image, (1, 0))[:, :-1]
    return torch.where(image, (image & ~before).cumsum(dim=1) - 1, -1)


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Boolean (B, L, L) to the additive float (B, 1, L, L) that eager attention takes."""
    zeros = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return zeros.masked_fill(~mask, torch.finfo(dtype).min)[:, None]
