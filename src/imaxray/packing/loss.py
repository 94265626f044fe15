"""Computes the loss of both layouts, and normalises it over an optimizer step."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

from imaxray.packing.batch import Batch


def entry_losses(logits: Tensor, batch: Batch) -> Tensor:
    """Return the mean negative log-likelihood of each entry's answer tokens, shape (E,).

    Args:
        logits: Logits (M, V) at the M positions of ``batch.predicts`` in row-major order, as the
            model returns them for :func:`model_inputs`; or the logits (B, L, V) of all positions.
        batch: Batch that the model was given.
    """
    picked = batch.predicts
    if logits.dim() == 3:
        logits = logits[picked]
    owner = batch.entry.roll(-1, dims=1)[picked]
    targets = batch.input_ids.roll(-1, dims=1)[picked]
    # half precision is summed in float32; float64 is kept
    losses = cross_entropy(
        logits.float() if logits.element_size() < 4 else logits, targets, reduction="none"
    )
    total = losses.new_zeros(batch.entries).index_add(0, owner, losses)
    count = losses.new_zeros(batch.entries).index_add(0, owner, losses.new_ones(len(losses)))
    return total / count.clamp(min=1)


def step_loss(losses: Tensor, entries: int | Tensor, *, ranks: int = 1) -> Tensor:
    """Return the share of one micro-batch in the mean loss over an optimizer step's entries.

    Summed over the micro-batches of a step, and averaged over ranks as DDP and FSDP average
    gradients, the shares give ``sum of entry losses / number of entries`` exactly, however unequal
    the micro-batches are.

    Args:
        losses: Losses of :func:`entry_losses`, shape (E,).
        entries: Number of entries of the whole step: all micro-batches of all ranks.
        ranks: Number of processes over which the gradients are averaged.
    """
    return losses.sum() * ranks / entries
