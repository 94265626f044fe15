"""Defines which tokens may see each other, as a dense mask or as a predicate for block masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Visibility:
    """Decides whether token i may attend to token j; all of three conditions must hold.

    * j is in i's own segment or in the prefix of i's image.
    * ``pos_i >= pos_j``, or both tokens belong to one image that is seen in both directions (Gemma
      3).
    * ``pos_j > pos_i - window``, if the layer has a sliding window.

    Positions are those of the *separate* sequences, so a window reaches as far back as in these
    sequences; packed indices say nothing about distance. The last two conditions combine as in
    ``transformers``: window and (causal or image), not (window and causal) or image.

    Attributes:
        segments: Segment of each token, (B, L) int64; -1 on padding. Padding sees padding only, so
            that no softmax is empty.
        prefixes: Segment of the prefix of each token's image, (B, L) int64; -1 on padding.
        positions: Positions in the separate sequences, (B, L) int64.
        blocks: Number of the image block of each token, (B, L) int64; -1 on text. ``None``: images
            are causal.
        window: Width of the sliding window; ``None``: the whole past is visible.
    """

    segments: Tensor
    prefixes: Tensor
    positions: Tensor
    blocks: Tensor | None = None
    window: int | None = None

    def dense(self) -> Tensor:
        """Return the whole mask, (B, L, L) bool."""
        return self._rule(
            lambda values: values[:, :, None],
            lambda values: values[:, None, :],
        )

    def part(self, row: int, query: slice, key: slice) -> Tensor:
        """Return the mask of some queries of one row against some of its keys, (Q, K) bool."""
        return self._rule(
            lambda values: values[row, query, None],
            lambda values: values[row, None, key],
        )

    def predicate(self) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """Return a ``mask_mod`` for flex attention: whether ``query`` sees ``key``."""

        def mask_mod(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            del head  # all heads are alike
            return self._rule(
                lambda values: values[batch, query],
                lambda values: values[batch, key],
            )

        return mask_mod

    def block_mask(self) -> Any:
        """Return a ``BlockMask`` for flex attention, compressed to blocks of 128 x 128."""
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
    """Convert a boolean mask (B, L, L) to the additive mask (B, 1, L, L) of eager attention."""
    zeros = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return zeros.masked_fill(~mask, torch.finfo(dtype).min)[:, None]
