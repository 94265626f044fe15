"""Turns batches of the packing layer into plain model inputs with one row per entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from imaxray.errors import ImaxrayError
from imaxray.packing import Batch


def separate_inputs(batch: Batch, images: Mapping[str, Any]) -> dict[str, Any]:
    """Return keyword arguments and ``labels`` for :func:`row_losses` from a batch of separate rows.

    Args:
        batch: Batch whose rows hold one entry each.
        images: Image inputs of the rows, in the form that the model takes.

    Raises:
        ImaxrayError: If rows are packed. The prefix of a packed row carries the gradients of all
            entries of an image, so an entry has no gradient of its own.
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
