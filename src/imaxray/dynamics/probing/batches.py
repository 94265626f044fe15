"""Batches of the packing layer as plain model inputs, one row an entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from imaxray.errors import ImaxrayError
from imaxray.packing import Batch


def separate_inputs(batch: Batch, images: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments and ``labels`` for :func:`row_losses`, from a batch of separate rows.

    Args:
        batch: rows of one entry each.
        images: image inputs of the rows, as the model takes them.

    Raises:
        ImaxrayError: rows are packed: their prefix carries the gradients of all entries of an
            image, so that an entry has none of its own.
    """
    if batch.packed:
        raise ImaxrayError(
            "Expected separate rows for per-entry gradients, but these are packed; lay the probe "
            "out separately, or take the image as the unit."
        )
    return {
        **images,
        "input_ids": batch.input_ids,
        "attention_mask": batch.valid.long(),
        "labels": torch.where(batch.entry >= 0, batch.input_ids, -100),
    }
