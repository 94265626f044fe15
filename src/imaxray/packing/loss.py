"""Computes the loss of both layouts, and normalises it over an optimizer step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from imaxray.packing.batch import Batch


@dataclass(frozen=True)
class SoftTargets:
    """Holds the distributions of another model over some answer tokens of a batch.

    Attributes:
        places: Numbers of the tokens among the M predicted ones in row-major order, (S,) int64.
        ids: Ids of the most probable tokens at each place, (S, K) int64.
        logprobs: Their natural log-probabilities, (S, K); the mass that they lack to 1 belongs to
            all other tokens in equal parts.
    """

    places: Tensor
    ids: Tensor
    logprobs: Tensor

    def to(self, device: torch.device | str) -> SoftTargets:
        """Return the targets on ``device``."""
        return replace(
            self, places=self.places.to(device), ids=self.ids.to(device),
            logprobs=self.logprobs.to(device),
        )  # fmt: skip


def soft_cross_entropy(logits: Tensor, ids: Tensor, logprobs: Tensor, temperature: float) -> Tensor:
    """Return the cross-entropy of softened distributions, times the temperature squared, (S,).

    Both distributions are softened by the temperature (Hinton, Vinyals and Dean 2015, who scale the
    loss so that its gradient keeps its size). At temperature 1 it is the plain cross-entropy, and
    with all mass on one token it is that of :func:`torch.nn.functional.cross_entropy`.

    Args:
        logits: Logits of the student, (S, V).
        ids: Ids of the most probable tokens of the teacher, (S, K).
        logprobs: Their log-probabilities, (S, K).
        temperature: Temperature above 0.
    """
    others = logits.shape[-1] - ids.shape[-1]
    logprobs = logprobs.to(logits.dtype)
    rest = (1 - logprobs.exp().sum(dim=-1)).clamp(min=0)
    if others:
        each = (rest / others).clamp(min=torch.finfo(logits.dtype).tiny).log()
        softened = torch.cat(
            [logprobs / temperature, (each / temperature + math.log(others))[:, None]], dim=-1
        ).softmax(dim=-1)
    else:
        softened = (logprobs / temperature).softmax(dim=-1)
    likely = (logits / temperature).log_softmax(dim=-1)
    top = likely.gather(1, ids)
    loss = (softened[:, : ids.shape[-1]] * top).sum(dim=-1)
    if others:
        # the mean over the other tokens, without a table of them
        loss = loss + softened[:, -1] * (likely.sum(dim=-1) - top.sum(dim=-1)) / others
    return -(temperature**2) * loss


def entry_losses(
    logits: Tensor, batch: Batch, soft: SoftTargets | None = None, *, temperature: float = 1.0
) -> Tensor:
    """Return the mean loss of each entry's answer tokens, shape (E,).

    It is the negative log-likelihood, or the cross-entropy to a distribution where ``soft`` has
    one.

    Args:
        logits: Logits (M, V) at the M positions of ``batch.predicts`` in row-major order, as the
            model returns them for :func:`model_inputs`; or the logits (B, L, V) of all positions.
        batch: Batch that the model was given.
        soft: Distributions that replace the tokens themselves as targets.
        temperature: Temperature of these distributions.
    """
    picked = batch.predicts
    if logits.dim() == 3:
        logits = logits[picked]
    owner = batch.entry.roll(-1, dims=1)[picked]
    targets = batch.input_ids.roll(-1, dims=1)[picked]
    # half precision is summed in float32; float64 is kept
    logits = logits.float() if logits.element_size() < 4 else logits
    losses = cross_entropy(logits, targets, reduction="none")
    if soft is not None and len(soft.places):
        told = soft_cross_entropy(logits[soft.places], soft.ids, soft.logprobs, temperature)
        losses = losses.index_copy(0, soft.places, told)
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
