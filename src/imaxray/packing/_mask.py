"""Who may see whom in a packed row, as a dense additive mask."""

from __future__ import annotations

import torch
from torch import Tensor


def allowed(segments: Tensor, positions: Tensor, valid: Tensor) -> Tensor:
    """Token i may attend to token j iff j is in i's entry or in the prefix, and not later.

    ``allowed(i, j) = (seg_i = seg_j or seg_j = 0) and pos_i >= pos_j``, built from positions and
    segments, never from packed indices.

    Args:
        segments: (B, L) int, 0 on the prefix.
        positions: (B, L) int, positions in the separate sequences.
        valid: (B, L) bool, False on padding. Padding sees itself only, so that no softmax is empty.

    Returns:
        (B, L, L) bool.
    """
    same = segments[:, :, None] == segments[:, None, :]
    prefix = segments[:, None, :] == 0
    causal = positions[:, :, None] >= positions[:, None, :]
    real = valid[:, :, None] & valid[:, None, :]
    itself = torch.eye(segments.shape[1], dtype=torch.bool, device=segments.device)
    return ((same | prefix) & causal & real) | itself


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Boolean (B, L, L) to the additive float (B, 1, L, L) that ``transformers`` takes as it is."""
    zeros = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return zeros.masked_fill(~mask, torch.finfo(dtype).min)[:, None]
